//! Owns the reading of teams and members.

use huddle_domain::{Name, TeamId, UserId};
use huddle_store::{
    Fence, Member, Membership, Page, StoreError, Team, UserTeam,
    backend::{MemberColumns, TeamColumns, membership, role, truncate, user_name},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    PostgresStore,
    fenced::{Fenced, judge, partition_of},
};

const TEAM: &str = "
    SELECT team.*, (SELECT seq FROM log_progress WHERE partition = $2) AS stored
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT team_id, name, archived, created_seq, created_time_ms FROM teams WHERE team_id = $1) AS team ON true";

const MEMBERSHIPS: &str = "
    SELECT membership.*, (SELECT seq FROM log_progress WHERE partition = $3) AS stored
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT members.user_id, members.role, teams.archived
        FROM members JOIN teams USING (team_id)
        WHERE team_id = $1 AND members.user_id = ANY ($2)) AS membership ON true";

const OWNER_COUNT: &str = "
    SELECT count(*), (SELECT seq FROM log_progress WHERE partition = $2) AS stored
    FROM members
    WHERE team_id = $1 AND role = 'owner'";

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

const USER_NAMES: &str = "SELECT user_id, name FROM users WHERE user_id = ANY ($1)";

struct TeamRow(TeamColumns);

impl FromRow<'_, PgRow> for TeamRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(TeamColumns {
            team_id: row.try_get(0)?,
            name: row.try_get(1)?,
            archived: row.try_get(2)?,
            created_seq: row.try_get(3)?,
            created_time_ms: row.try_get(4)?,
        }))
    }
}

struct MemberRow(MemberColumns);

impl FromRow<'_, PgRow> for MemberRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(MemberColumns {
            user_id: row.try_get(0)?,
            name: row.try_get(1)?,
            role: row.try_get(2)?,
            since_seq: row.try_get(3)?,
        }))
    }
}

struct UserTeamRow {
    team: TeamColumns,
    role: String,
}

impl FromRow<'_, PgRow> for UserTeamRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { team: TeamRow::from_row(row)?.0, role: row.try_get(5)? })
    }
}

/// Returns the team.
pub(crate) async fn team(
    store: &PostgresStore,
    team: &TeamId,
    fence: Option<Fence>,
) -> Result<Option<Team>, StoreError> {
    let rows =
        sqlx::query_as::<_, Fenced<TeamRow>>(TEAM).bind(team.as_str()).bind(partition_of(fence)).fetch_all(&store.pool);
    let rows = judge(store.connector.read("reading a team", rows).await?, fence)?;
    Ok(rows.into_iter().next().map(|row| row.0.into_team()).transpose()?)
}

/// Returns what those of `users` are in `team` who are members.
pub(crate) async fn memberships(
    store: &PostgresStore,
    team: &TeamId,
    users: &[UserId],
    fence: Option<Fence>,
) -> Result<Vec<(UserId, Membership)>, StoreError> {
    let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query_as::<_, Fenced<(String, String, bool)>>(MEMBERSHIPS)
        .bind(team.as_str())
        .bind(users)
        .bind(partition_of(fence))
        .fetch_all(&store.pool);
    let rows = judge(store.connector.read("reading memberships", rows).await?, fence)?;
    let found = rows.into_iter().map(|(user, role, archived)| membership(team, &user, &role, archived));
    Ok(found.collect::<Result<_, _>>()?)
}

/// Returns how many owners `team` has.
pub(crate) async fn owner_count(store: &PostgresStore, team: &TeamId, fence: Option<Fence>) -> Result<u64, StoreError> {
    let rows = sqlx::query_as::<_, Fenced<(i64,)>>(OWNER_COUNT)
        .bind(team.as_str())
        .bind(partition_of(fence))
        .fetch_all(&store.pool);
    let rows = judge(store.connector.read("counting owners", rows).await?, fence)?;
    // A count is never negative.
    Ok(rows.first().and_then(|(count,)| u64::try_from(*count).ok()).unwrap_or_default())
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
    let items = rows.into_iter().map(|row| row.0.into_member(team)).collect::<Result<_, _>>()?;
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
    let items = rows.into_iter().map(|row| {
        let role = role(&row.role, || format!("({}, {user})", row.team.team_id))?;
        Ok(UserTeam { team: row.team.into_team()?, role })
    });
    Ok(Page { items: items.collect::<Result<_, StoreError>>()?, has_more })
}

/// Returns the display names of those of `users` whose name is known.
pub(crate) async fn user_names(store: &PostgresStore, users: &[UserId]) -> Result<Vec<(UserId, Name)>, StoreError> {
    let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let rows = sqlx::query_as::<_, (String, String)>(USER_NAMES).bind(users).fetch_all(&store.pool);
    let rows = store.connector.read("reading names", rows).await?;
    Ok(rows.into_iter().map(user_name).collect::<Result<_, _>>()?)
}
