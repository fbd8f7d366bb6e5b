//! What events mean to teams, members and users. Runs in the transaction that stores the event, in the log's order.

use huddle_domain::{Event, EventKind, Name, Role, UserId};
use huddle_store::backend::{Names, to_bigint};
use sqlx::{SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::row::parameter;

type Statement<'q> = Query<'q, sqlx::Sqlite, SqliteArguments>;

/// Whether `kind` means anything to teams and members.
pub(super) fn concerns_directory(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Posted { .. })
}

/// Applies `event`, which is new.
pub(super) async fn apply_to_directory(connection: &mut SqliteConnection, event: &Event) -> Result<(), sqlx::Error> {
    let statement = match &event.kind {
        EventKind::Posted { .. } => return Ok(()),
        EventKind::TeamCreated { name, owner } => return create_team(connection, event, name, owner).await,
        EventKind::TeamRenamed { name } => rename_team(event, name),
        EventKind::TeamArchived => archive_team(event),
        EventKind::MemberAdded { user, role, .. } => add_member(event, user, *role),
        EventKind::MemberRemoved { user } => remove_member(event, user),
        EventKind::MemberRoleChanged { user, role } => change_role(event, user, *role),
    };
    statement.execute(connection).await.map(drop)
}

/// A team that is there already stays as it is, owner included: a second creation takes nothing over.
async fn create_team(
    connection: &mut SqliteConnection,
    event: &Event,
    name: &Name,
    owner: &UserId,
) -> Result<(), sqlx::Error> {
    const CREATE_TEAM: &str = "
        INSERT INTO teams (team_id, name, created_seq, created_time_ms) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (team_id) DO NOTHING";
    let created = sqlx::query(CREATE_TEAM)
        .bind(event.team.as_str())
        .bind(name.as_str())
        .bind(to_bigint(event.seq))
        .bind(event.time.0)
        .execute(&mut *connection)
        .await?;
    if created.rows_affected() == 1 {
        add_member(event, owner, Role::Owner).execute(connection).await?;
    }
    Ok(())
}

fn rename_team<'q>(event: &'q Event, name: &'q Name) -> Statement<'q> {
    const RENAME_TEAM: &str = "UPDATE teams SET name = ?2 WHERE team_id = ?1";
    sqlx::query(RENAME_TEAM).bind(event.team.as_str()).bind(name.as_str())
}

fn archive_team(event: &Event) -> Statement<'_> {
    const ARCHIVE_TEAM: &str = "UPDATE teams SET archived = 1 WHERE team_id = ?1";
    sqlx::query(ARCHIVE_TEAM).bind(event.team.as_str())
}

/// One who is a member already gets the role, and stays a member since when they became one.
fn add_member<'q>(event: &'q Event, user: &'q UserId, role: Role) -> Statement<'q> {
    const ADD_MEMBER: &str = "
        INSERT INTO members (team_id, user_id, role, since_seq) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role";
    sqlx::query(ADD_MEMBER).bind(event.team.as_str()).bind(user.as_str()).bind(role.as_str()).bind(to_bigint(event.seq))
}

fn remove_member<'q>(event: &'q Event, user: &'q UserId) -> Statement<'q> {
    const REMOVE_MEMBER: &str = "DELETE FROM members WHERE team_id = ?1 AND user_id = ?2";
    sqlx::query(REMOVE_MEMBER).bind(event.team.as_str()).bind(user.as_str())
}

fn change_role<'q>(event: &'q Event, user: &'q UserId, role: Role) -> Statement<'q> {
    const CHANGE_ROLE: &str = "UPDATE members SET role = ?3 WHERE team_id = ?1 AND user_id = ?2";
    sqlx::query(CHANGE_ROLE).bind(event.team.as_str()).bind(user.as_str()).bind(role.as_str())
}

/// Saves the names that events gave to users.
pub(super) async fn save_names(connection: &mut SqliteConnection, names: &Names<'_>) -> Result<(), sqlx::Error> {
    const SAVE_NAMES: &str = "
        INSERT INTO users (user_id, name, named_time_ms)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?1)
        WHERE true
        ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, named_time_ms = excluded.named_time_ms
        WHERE users.named_time_ms <= excluded.named_time_ms";
    if names.is_empty() {
        return Ok(());
    }
    let names = names.iter().map(|(user, (name, time))| (user.as_str(), name.as_str(), *time));
    sqlx::query(SAVE_NAMES).bind(parameter(names)).execute(connection).await.map(drop)
}
