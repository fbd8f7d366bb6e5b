//! Owns the reading of teams and members.

use huddle_domain::{Name, Role, TeamId, UnixMillis, UserId};
use huddle_store::{Member, Membership, Page, StoreError, Team, UserTeam};

use crate::{
    PostgresStore,
    error::{Unreadable, broken},
    row::{from_bigint, truncate},
};

const TEAM: &str = "SELECT team_id, name, archived, created_seq, created_time_ms FROM teams WHERE team_id = $1";

const MEMBERSHIP: &str = "
    SELECT members.role, teams.archived
    FROM members JOIN teams USING (team_id)
    WHERE team_id = $1 AND members.user_id = $2";

const OWNER_COUNT: &str = "SELECT count(*) FROM members WHERE team_id = $1 AND role = 'owner'";

const LIST_MEMBERS: &str = "
    SELECT members.user_id, users.name, members.role, members.since_seq
    FROM members LEFT JOIN users USING (user_id)
    WHERE members.team_id = $1 AND members.user_id > $2
    ORDER BY members.user_id
    LIMIT $3";

const LIST_USER_TEAMS: &str = "
    SELECT teams.team_id, teams.name, teams.archived, teams.created_seq, teams.created_time_ms, members.role
    FROM members JOIN teams USING (team_id)
    WHERE members.user_id = $1 AND members.team_id > $2
    ORDER BY members.team_id
    LIMIT $3";

#[derive(sqlx::FromRow)]
struct TeamRow {
    team_id: String,
    name: String,
    archived: bool,
    created_seq: i64,
    created_time_ms: i64,
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    user_id: String,
    name: Option<String>,
    role: String,
    since_seq: i64,
}

#[derive(sqlx::FromRow)]
struct UserTeamRow {
    #[sqlx(flatten)]
    team: TeamRow,
    role: String,
}

/// Returns the team.
pub(crate) async fn team(store: &PostgresStore, team: &TeamId) -> Result<Option<Team>, StoreError> {
    let row = sqlx::query_as::<_, TeamRow>(TEAM).bind(team.as_str()).fetch_optional(&store.pool);
    store.connector.read("reading a team", row).await?.map(TeamRow::into_team).transpose()
}

/// Returns what `user` is in `team`.
pub(crate) async fn membership(
    store: &PostgresStore,
    team: &TeamId,
    user: &UserId,
) -> Result<Option<Membership>, StoreError> {
    let row = sqlx::query_as::<_, (String, bool)>(MEMBERSHIP)
        .bind(team.as_str())
        .bind(user.as_str())
        .fetch_optional(&store.pool);
    let Some((name, team_archived)) = store.connector.read("reading a membership", row).await? else {
        return Ok(None);
    };
    Ok(Some(Membership { role: role(&name, || format!("({team}, {user})"))?, team_archived }))
}

/// Returns how many owners `team` has.
pub(crate) async fn owner_count(store: &PostgresStore, team: &TeamId) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar::<_, i64>(OWNER_COUNT).bind(team.as_str()).fetch_one(&store.pool);
    let count = store.connector.read("counting owners", count).await?;
    // A count is never negative.
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Returns a page of the members of `team`.
pub(crate) async fn list_members(
    store: &PostgresStore,
    team: &TeamId,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Page<Member>, StoreError> {
    // No id is empty, so every id is above the empty text.
    let rows = sqlx::query_as::<_, MemberRow>(LIST_MEMBERS)
        .bind(team.as_str())
        .bind(after.map_or("", UserId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(&store.pool);
    let mut rows = store.connector.read("listing members", rows).await?;
    let has_more = truncate(&mut rows, limit);
    let items = rows.into_iter().map(|row| row.into_member(team)).collect::<Result<_, _>>()?;
    Ok(Page { items, has_more })
}

/// Returns a page of the teams of `user`.
pub(crate) async fn list_user_teams(
    store: &PostgresStore,
    user: &UserId,
    after: Option<&TeamId>,
    limit: u32,
) -> Result<Page<UserTeam>, StoreError> {
    let rows = sqlx::query_as::<_, UserTeamRow>(LIST_USER_TEAMS)
        .bind(user.as_str())
        .bind(after.map_or("", TeamId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(&store.pool);
    let mut rows = store.connector.read("listing a user's teams", rows).await?;
    let has_more = truncate(&mut rows, limit);
    let items = rows.into_iter().map(|row| row.into_user_team(user)).collect::<Result<_, _>>()?;
    Ok(Page { items, has_more })
}

impl TeamRow {
    fn into_team(self) -> Result<Team, StoreError> {
        let row = || self.team_id.clone();
        Ok(Team {
            team: read("teams", "team_id", TeamId::parse(&self.team_id), row)?,
            name: read("teams", "name", Name::parse(&self.name), row)?,
            archived: self.archived,
            created_seq: from_bigint(self.created_seq),
            created_time: UnixMillis(self.created_time_ms),
        })
    }
}

impl MemberRow {
    fn into_member(self, team: &TeamId) -> Result<Member, StoreError> {
        let row = || format!("({team}, {})", self.user_id);
        Ok(Member {
            user: read("members", "user_id", UserId::parse(&self.user_id), row)?,
            name: self.name.as_deref().map(|name| read("users", "name", Name::parse(name), row)).transpose()?,
            role: role(&self.role, row)?,
            since_seq: from_bigint(self.since_seq),
        })
    }
}

impl UserTeamRow {
    fn into_user_team(self, user: &UserId) -> Result<UserTeam, StoreError> {
        let role = role(&self.role, || format!("({}, {user})", self.team.team_id))?;
        Ok(UserTeam { team: self.team.into_team()?, role })
    }
}

fn role(name: &str, row: impl Fn() -> String) -> Result<Role, StoreError> {
    read("members", "role", Role::from_name(name).ok_or("not known to this version"), row)
}

fn read<T, E: ToString>(
    table: &'static str,
    column: &'static str,
    parsed: Result<T, E>,
    row: impl Fn() -> String,
) -> Result<T, StoreError> {
    parsed.map_err(|error| {
        broken("reading the directory", Unreadable { table, row: row(), column, reason: error.to_string() })
    })
}
