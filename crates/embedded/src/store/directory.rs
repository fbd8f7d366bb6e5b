//! Owns the reading of teams and members.

use huddle_domain::{Name, TeamId, UserId};
use huddle_store::{
    Member, Membership, Page, StoreError, Team, UserTeam,
    backend::{MemberColumns, TeamColumns, membership, role, truncate, user_name},
};
use sqlx::{FromRow, Row as _, SqlitePool, sqlite::SqliteRow};

use super::{error::store_error, row::parameter};

const TEAM: &str = "SELECT team_id, name, archived, created_seq, created_time_ms FROM teams WHERE team_id = ?1";

const MEMBERSHIPS: &str = "
    SELECT members.user_id, members.role, teams.archived
    FROM (SELECT DISTINCT value FROM jsonb_each(?2)) AS wanted CROSS JOIN members JOIN teams USING (team_id)
    WHERE members.team_id = ?1 AND members.user_id = wanted.value";

const OWNER_COUNT: &str = "SELECT count(*) FROM members WHERE team_id = ?1 AND role = 'owner'";

pub(super) const LIST_MEMBERS: &str = "
    SELECT members.user_id, users.name, members.role, members.since_seq
    FROM members LEFT JOIN users USING (user_id)
    WHERE members.team_id = ?1 AND members.user_id > ?2
    ORDER BY members.user_id
    LIMIT ?3";

// CROSS JOIN: by the user's memberships in their order, and not by all teams.
pub(super) const LIST_USER_TEAMS: &str = "
    SELECT teams.team_id, teams.name, teams.archived, teams.created_seq, teams.created_time_ms, members.role
    FROM members CROSS JOIN teams USING (team_id)
    WHERE members.user_id = ?1 AND members.team_id > ?2
    ORDER BY members.team_id
    LIMIT ?3";

pub(super) const USER_NAMES: &str = "
    SELECT users.user_id, users.name
    FROM (SELECT DISTINCT value FROM jsonb_each(?1)) AS wanted CROSS JOIN users
    WHERE users.user_id = wanted.value";

struct TeamRow(TeamColumns);

impl FromRow<'_, SqliteRow> for TeamRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self(TeamColumns {
            team_id: row.try_get(0)?,
            name: row.try_get(1)?,
            archived: row.try_get::<i64, _>(2)? != 0,
            created_seq: row.try_get(3)?,
            created_time_ms: row.try_get(4)?,
        }))
    }
}

struct MemberRow(MemberColumns);

impl FromRow<'_, SqliteRow> for MemberRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
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

impl FromRow<'_, SqliteRow> for UserTeamRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { team: TeamRow::from_row(row)?.0, role: row.try_get(5)? })
    }
}

/// Returns the team.
pub(crate) async fn team(pool: &SqlitePool, team: &TeamId) -> Result<Option<Team>, StoreError> {
    let row = sqlx::query_as::<_, TeamRow>(TEAM).bind(team.as_str()).fetch_optional(pool).await;
    let row = row.map_err(|error| store_error("reading a team", error))?;
    Ok(row.map(|row| row.0.into_team()).transpose()?)
}

/// Returns what those of `users` are in `team` who are members.
pub(crate) async fn memberships(
    pool: &SqlitePool,
    team: &TeamId,
    users: &[UserId],
) -> Result<Vec<(UserId, Membership)>, StoreError> {
    let rows = sqlx::query_as::<_, (String, String, i64)>(MEMBERSHIPS)
        .bind(team.as_str())
        .bind(parameter(users.iter().map(UserId::as_str)))
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("reading memberships", error))?;
    let found = rows.into_iter().map(|(user, role, archived)| membership(team, &user, &role, archived != 0));
    Ok(found.collect::<Result<_, _>>()?)
}

/// Returns how many owners `team` has.
pub(crate) async fn owner_count(pool: &SqlitePool, team: &TeamId) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar::<_, i64>(OWNER_COUNT).bind(team.as_str()).fetch_one(pool).await;
    let count = count.map_err(|error| store_error("counting owners", error))?;
    // A count is never negative.
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Returns a page of the members of `team`.
pub(crate) async fn list_members(
    pool: &SqlitePool,
    team: &TeamId,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Page<Member>, StoreError> {
    // No id is empty, so every id is above the empty text.
    let mut rows = sqlx::query_as::<_, MemberRow>(LIST_MEMBERS)
        .bind(team.as_str())
        .bind(after.map_or("", UserId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing members", error))?;
    let has_more = truncate(&mut rows, limit);
    let items = rows.into_iter().map(|row| row.0.into_member(team)).collect::<Result<_, _>>()?;
    Ok(Page { items, has_more })
}

/// Returns a page of the teams of `user`.
pub(crate) async fn list_user_teams(
    pool: &SqlitePool,
    user: &UserId,
    after: Option<&TeamId>,
    limit: u32,
) -> Result<Page<UserTeam>, StoreError> {
    let mut rows = sqlx::query_as::<_, UserTeamRow>(LIST_USER_TEAMS)
        .bind(user.as_str())
        .bind(after.map_or("", TeamId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing a user's teams", error))?;
    let has_more = truncate(&mut rows, limit);
    let items = rows.into_iter().map(|row| {
        let role = role(&row.role, || format!("({}, {user})", row.team.team_id))?;
        Ok(UserTeam { team: row.team.into_team()?, role })
    });
    Ok(Page { items: items.collect::<Result<_, StoreError>>()?, has_more })
}

/// Returns the display names of those of `users` whose name is known.
pub(crate) async fn user_names(pool: &SqlitePool, users: &[UserId]) -> Result<Vec<(UserId, Name)>, StoreError> {
    let rows = sqlx::query_as::<_, (String, String)>(USER_NAMES)
        .bind(parameter(users.iter().map(UserId::as_str)))
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("reading names", error))?;
    Ok(rows.into_iter().map(user_name).collect::<Result<_, _>>()?)
}
