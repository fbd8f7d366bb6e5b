//! What events mean to teams, members and users. Runs in the transaction that stores the event, in the log's order.

use std::collections::{BTreeMap, HashSet};

use huddle_domain::{Event, EventKind, Name, Role, Seq, TeamId, UserId};
use huddle_store::{
    StoreError,
    backend::{Names, to_bigint},
};
use sqlx::{SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{
    insert::Failure,
    row::{EventRow, parameter},
};

/// Events that are in memory at once while a team is written anew.
const CHANGES_AT_ONCE: u32 = 1_000;

type Statement<'q> = Query<'q, sqlx::Sqlite, SqliteArguments>;

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

/// Which of the teams have stored events that concern them above the positions beside them.
pub(super) async fn changed_above(
    connection: &mut SqliteConnection,
    ends: &BTreeMap<&TeamId, Seq>,
) -> Result<HashSet<String>, sqlx::Error> {
    const CHANGED_ABOVE: &str = "
        SELECT changed.value ->> 0
        FROM jsonb_each(?1) AS changed
        WHERE EXISTS (
            SELECT 1
            FROM events
            WHERE events.team_id = changed.value ->> 0 AND events.seq > changed.value ->> 1 AND events.kind <> 'posted'
              AND events.seq <= (SELECT stored.seq FROM log_progress AS stored
                                 WHERE stored.partition = events.partition))";
    if ends.is_empty() {
        return Ok(HashSet::new());
    }
    let ends = parameter(ends.iter().map(|(team, end)| (team.as_str(), to_bigint(*end))));
    let teams: Vec<String> = sqlx::query_scalar(CHANGED_ABOVE).bind(ends).fetch_all(connection).await?;
    Ok(teams.into_iter().collect())
}

/// Writes what all stored events of `team` mean, in their order, in the place of what was written about it.
pub(super) async fn write_anew(connection: &mut SqliteConnection, team: &str) -> Result<(), Failure> {
    const FORGET_MEMBERS: &str = "DELETE FROM members WHERE team_id = ?1";
    const FORGET_TEAM: &str = "DELETE FROM teams WHERE team_id = ?1";
    const CHANGES: &str = "
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = ?1 AND seq > ?2 AND kind <> 'posted'
          AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
        ORDER BY seq
        LIMIT ?3";
    sqlx::query(FORGET_MEMBERS).bind(team).execute(&mut *connection).await?;
    sqlx::query(FORGET_TEAM).bind(team).execute(&mut *connection).await?;
    let mut after = Seq::ZERO;
    loop {
        let rows: Vec<EventRow> = sqlx::query_as(CHANGES)
            .bind(team)
            .bind(to_bigint(after))
            .bind(CHANGES_AT_ONCE)
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let event = row.into_event(Seq::ZERO).map_err(StoreError::from)?;
            apply_to_directory(connection, &event).await?;
            after = event.seq;
        }
    }
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
