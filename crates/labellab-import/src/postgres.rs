//! Owns the reading of LabelLab's tables in Postgres.

use std::str::FromStr as _;

use async_trait::async_trait;
use huddle_transfer::SourceError;
use sqlx::{
    ConnectOptions as _, Executor as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{
    OpenError,
    database::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, bounded, check_columns, decoded},
    place::not_a_url,
    tables::{Key, MemberRow, MessageRow, PAGE_ROWS, People, ProjectRow, Tables, TeamRow, UserRow},
    time,
};

const COLUMNS: &str = "
    SELECT table_name::text, column_name::text FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false))";

const TEAMS: &str = "
    SELECT id::bigint, coalesce(team_name::text, ''), role::text, project_id::bigint FROM team ORDER BY id";

const MEMBERS: &str = "
    SELECT id::bigint, coalesce(user_id::bigint, 0), coalesce(team_id::bigint, 0) FROM projectmember ORDER BY id";

const USERS: &str = r#"
    SELECT id::bigint, coalesce(username::text, ''), to_char(date, 'YYYY-MM-DD HH24:MI:SS.US') FROM "user" ORDER BY id"#;

const PROJECTS: &str = "SELECT id::bigint, coalesce(admin_id::bigint, 0) FROM project ORDER BY id";

const NEXT_PAGE: &str = r#"
    SELECT id::bigint, coalesce(body::text, ''), coalesce(team_id::bigint, 0), coalesce(user_id::bigint, 0),
        entity_type::text, entity_id::bigint, to_char("timestamp", 'YYYY-MM-DD HH24:MI:SS.US')
    FROM message WHERE id > $1 ORDER BY id LIMIT $2"#;

const MESSAGES: &str = r#"
    SELECT id::bigint, coalesce(body::text, ''), coalesce(team_id::bigint, 0), coalesce(user_id::bigint, 0),
        entity_type::text, entity_id::bigint, to_char("timestamp", 'YYYY-MM-DD HH24:MI:SS.US')
    FROM message WHERE id = ANY ($1) ORDER BY id"#;

/// Tables in Postgres, read within one snapshot.
#[derive(Debug)]
pub(crate) struct PostgresTables {
    connection: PgConnection,
    place: String,
    has_projects: bool,
    /// The last message of the page before.
    after: i64,
}

impl PostgresTables {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| not_a_url("postgres://user:password@host:port/database"))?
            .application_name("huddle import")
            .disable_statement_logging();
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let place = format!("Postgres database {database} at {}:{}", options.get_host(), options.get_port());
        let mut connection = bounded(&place, CONNECT_TIMEOUT, options.connect()).await?;
        // The snapshot stays open while what was read is being stored.
        for statement in
            ["SET idle_in_transaction_session_timeout = 0", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
        {
            bounded(&place, ANSWER_TIMEOUT, connection.execute(statement)).await?;
        }
        let rows = bounded(&place, ANSWER_TIMEOUT, sqlx::query(COLUMNS).fetch_all(&mut connection)).await?;
        let columns = decoded(&place, &rows, |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        let has_projects = check_columns(&place, &columns)?;
        Ok(Self { connection, place, has_projects, after: i64::MIN })
    }

    async fn all<T>(
        &mut self,
        table: &str,
        statement: &'static str,
        decode: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, SourceError> {
        let what = format!("{}, table {table}", self.place);
        let rows = bounded(&what, ANSWER_TIMEOUT, sqlx::query(statement).fetch_all(&mut self.connection)).await?;
        decoded(&what, &rows, decode)
    }
}

#[async_trait]
impl Tables for PostgresTables {
    fn place(&self) -> &str {
        &self.place
    }

    async fn people(&mut self) -> Result<People, SourceError> {
        let teams = |row: &PgRow| {
            Ok(TeamRow { id: row.try_get(0)?, name: row.try_get(1)?, role: row.try_get(2)?, project: row.try_get(3)? })
        };
        let members = |row: &PgRow| Ok(MemberRow { id: row.try_get(0)?, user: row.try_get(1)?, team: row.try_get(2)? });
        let users = |row: &PgRow| {
            let since: Option<String> = row.try_get(2)?;
            let since = since.and_then(|text| time::parse(&text));
            Ok(UserRow { id: row.try_get(0)?, username: row.try_get(1)?, since })
        };
        let projects = |row: &PgRow| Ok(ProjectRow { id: row.try_get(0)?, admin: row.try_get(1)? });
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
        let ids: Vec<i64> = keys.iter().map(|key| key.id).collect();
        let query = sqlx::query(MESSAGES).bind(ids);
        let rows = bounded(&what, ANSWER_TIMEOUT, query.fetch_all(&mut self.connection)).await?;
        decoded(&what, &rows, message)
    }
}

fn message(row: &PgRow) -> Result<MessageRow, sqlx::Error> {
    let time: Option<String> = row.try_get(6)?;
    Ok(MessageRow {
        key: Key { id: row.try_get(0)?, offset: 0 },
        body: row.try_get(1)?,
        team: row.try_get(2)?,
        user: row.try_get(3)?,
        entity_type: row.try_get(4)?,
        entity_id: row.try_get(5)?,
        time: time.and_then(|text| time::parse(&text)),
    })
}
