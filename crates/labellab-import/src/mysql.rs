//! Owns the reading of LabelLab's tables in MySQL and MariaDB.

use std::{fmt::Write as _, str::FromStr as _};

use async_trait::async_trait;
use huddle_transfer::SourceError;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, Row as _,
    mysql::{MySqlConnectOptions, MySqlRow},
};

use crate::{
    OpenError,
    database::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, bounded, check_columns, decoded},
    place::not_a_url,
    tables::{Key, MemberRow, MessageRow, PAGE_ROWS, People, ProjectRow, Tables, TeamRow, UserRow},
    time,
};

const COLUMNS: &str = "
    SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns
    WHERE table_schema = DATABASE()";

const TEAMS: &str = "
    SELECT CAST(id AS SIGNED), COALESCE(team_name, ''), role, CAST(project_id AS SIGNED) FROM team ORDER BY id";

const MEMBERS: &str = "
    SELECT CAST(id AS SIGNED), CAST(COALESCE(user_id, 0) AS SIGNED), CAST(COALESCE(team_id, 0) AS SIGNED)
    FROM projectmember ORDER BY id";

const USERS: &str = "
    SELECT CAST(id AS SIGNED), COALESCE(username, ''), DATE_FORMAT(`date`, '%Y-%m-%d %H:%i:%s.%f') FROM `user`
    ORDER BY id";

const PROJECTS: &str = "SELECT CAST(id AS SIGNED), CAST(COALESCE(admin_id, 0) AS SIGNED) FROM project ORDER BY id";

const NEXT_PAGE: &str = "
    SELECT CAST(id AS SIGNED), COALESCE(body, ''), CAST(COALESCE(team_id, 0) AS SIGNED),
        CAST(COALESCE(user_id, 0) AS SIGNED),
        entity_type, CAST(entity_id AS SIGNED), DATE_FORMAT(`timestamp`, '%Y-%m-%d %H:%i:%s.%f')
    FROM message WHERE id > ? ORDER BY id LIMIT ?";

/// Is completed by a list of ids.
const MESSAGES: &str = "
    SELECT CAST(id AS SIGNED), COALESCE(body, ''), CAST(COALESCE(team_id, 0) AS SIGNED),
        CAST(COALESCE(user_id, 0) AS SIGNED),
        entity_type, CAST(entity_id AS SIGNED), DATE_FORMAT(`timestamp`, '%Y-%m-%d %H:%i:%s.%f')
    FROM message WHERE id IN";

/// Tables in MySQL, read within one snapshot.
#[derive(Debug)]
pub(crate) struct MySqlTables {
    connection: MySqlConnection,
    place: String,
    has_projects: bool,
    /// The last message of the page before.
    after: i64,
}

impl MySqlTables {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let options = MySqlConnectOptions::from_str(url)
            .map_err(|_| not_a_url("mysql://user:password@host:port/database"))?
            // Whatever the tables' own character set: a smaller one would turn characters into question marks.
            .charset("utf8mb4")
            .disable_statement_logging();
        let database = options.get_database().unwrap_or_default();
        let place = format!("MySQL database {database} at {}:{}", options.get_host(), options.get_port());
        let mut connection = bounded(&place, CONNECT_TIMEOUT, options.connect()).await?;
        for statement in
            ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"]
        {
            bounded(&place, ANSWER_TIMEOUT, connection.execute(statement)).await?;
        }
        let rows = bounded(&place, ANSWER_TIMEOUT, sqlx::query(COLUMNS).fetch_all(&mut connection)).await?;
        let columns = decoded(&place, &rows, |row| Ok((text(row, 0)?, text(row, 1)?)))?;
        let has_projects = check_columns(&place, &columns)?;
        Ok(Self { connection, place, has_projects, after: i64::MIN })
    }

    async fn all<T>(
        &mut self,
        table: &str,
        statement: &'static str,
        decode: impl Fn(&MySqlRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, SourceError> {
        let what = format!("{}, table {table}", self.place);
        let rows = bounded(&what, ANSWER_TIMEOUT, sqlx::query(statement).fetch_all(&mut self.connection)).await?;
        decoded(&what, &rows, decode)
    }
}

#[async_trait]
impl Tables for MySqlTables {
    fn place(&self) -> &str {
        &self.place
    }

    async fn people(&mut self) -> Result<People, SourceError> {
        let teams = |row: &MySqlRow| {
            let role = row.try_get_unchecked(2)?;
            Ok(TeamRow { id: row.try_get(0)?, name: text(row, 1)?, role, project: row.try_get(3)? })
        };
        let members =
            |row: &MySqlRow| Ok(MemberRow { id: row.try_get(0)?, user: row.try_get(1)?, team: row.try_get(2)? });
        let users = |row: &MySqlRow| {
            let since: Option<String> = row.try_get_unchecked(2)?;
            let since = since.and_then(|text| time::parse(&text));
            Ok(UserRow { id: row.try_get(0)?, username: text(row, 1)?, since })
        };
        let projects = |row: &MySqlRow| Ok(ProjectRow { id: row.try_get(0)?, admin: row.try_get(1)? });
        Ok(People {
            teams: self.all("team", TEAMS, teams).await?,
            members: self.all("projectmember", MEMBERS, members).await?,
            users: self.all("user", USERS, users).await?,
            projects: if self.has_projects { self.all("project", PROJECTS, projects).await? } else { Vec::new() },
        })
    }

    async fn next_page(&mut self) -> Result<Vec<MessageRow>, SourceError> {
        let what = format!("{}, table message", self.place);
        let limit = i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX);
        let query = sqlx::query(NEXT_PAGE).bind(self.after).bind(limit);
        let rows = bounded(&what, ANSWER_TIMEOUT, query.fetch_all(&mut self.connection)).await?;
        let page = decoded(&what, &rows, message)?;
        self.after = page.last().map_or(self.after, |row| row.key.id);
        Ok(page)
    }

    async fn messages(&mut self, keys: &[Key]) -> Result<Vec<MessageRow>, SourceError> {
        let what = format!("{}, table message", self.place);
        let mut statement = MESSAGES.to_owned();
        let mut separator = " (";
        for key in keys {
            // Writing into a string does not fail.
            let _ = write!(statement, "{separator}{}", key.id);
            separator = ", ";
        }
        statement.push_str(") ORDER BY id");
        // Holds nothing but numbers. Not kept as a prepared statement: the next one is another.
        let query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
        let rows = bounded(&what, ANSWER_TIMEOUT, query.fetch_all(&mut self.connection)).await?;
        decoded(&what, &rows, message)
    }
}

/// A text, whatever its collation: the server has made it UTF-8.
fn text(row: &MySqlRow, column: usize) -> Result<String, sqlx::Error> {
    row.try_get_unchecked(column)
}

fn message(row: &MySqlRow) -> Result<MessageRow, sqlx::Error> {
    let time: Option<String> = row.try_get_unchecked(6)?;
    Ok(MessageRow {
        key: Key { id: row.try_get(0)?, offset: 0 },
        body: text(row, 1)?,
        team: row.try_get(2)?,
        user: row.try_get(3)?,
        entity_type: row.try_get_unchecked(4)?,
        entity_id: row.try_get(5)?,
        time: time.and_then(|text| time::parse(&text)),
    })
}
