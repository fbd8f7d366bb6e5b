//! What events mean to teams, members and users. Runs in the transaction that inserts the event, in the log's order.

use std::collections::{BTreeMap, HashSet};

use huddle_domain::{Event, EventKind, Name, Role, Seq, TeamId, UserId};
use huddle_store::{
    StoreError,
    backend::{Names, to_bigint},
};
use sqlx::{PgConnection, PgTransaction, postgres::PgArguments, query::Query};

use super::writer::Failure;
use crate::row::EventRow;

/// Events that are in memory at once while a team is written anew.
const CHANGES_AT_ONCE: i64 = 1_000;

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Applies `event`, which is new.
pub(super) async fn apply_to_directory(transaction: &mut PgTransaction<'_>, event: &Event) -> Result<(), sqlx::Error> {
    match statement(event) {
        Some(statement) => statement.execute(&mut **transaction).await.map(drop),
        None => Ok(()),
    }
}

/// Which of the teams have events that concern them above the positions beside them.
pub(super) async fn changed_above(
    connection: &mut PgConnection,
    ends: &BTreeMap<&TeamId, Seq>,
) -> Result<HashSet<String>, sqlx::Error> {
    const CHANGED_ABOVE: &str = "
        SELECT changed.team_id
        FROM unnest($1::text[], $2::bigint[]) AS changed (team_id, seq)
        WHERE EXISTS (
            SELECT 1 FROM events
            WHERE events.team_id = changed.team_id AND events.seq > changed.seq AND events.kind <> 'posted')";
    if ends.is_empty() {
        return Ok(HashSet::new());
    }
    let teams: Vec<String> = sqlx::query_scalar(CHANGED_ABOVE)
        .bind(ends.keys().map(|team| team.as_str()).collect::<Vec<_>>())
        .bind(ends.values().map(|end| to_bigint(*end)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(teams.into_iter().collect())
}

/// Writes what all events of `team` mean, in their order, in the place of what was written about it.
pub(super) async fn write_anew(transaction: &mut PgTransaction<'_>, team: &str) -> Result<(), Failure> {
    const FORGET_MEMBERS: &str = "DELETE FROM members WHERE team_id = $1";
    const FORGET_TEAM: &str = "DELETE FROM teams WHERE team_id = $1";
    const CHANGES: &str = "
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = $1 AND seq > $2 AND kind <> 'posted'
        ORDER BY seq
        LIMIT $3";
    sqlx::query(FORGET_MEMBERS).bind(team).execute(&mut **transaction).await?;
    sqlx::query(FORGET_TEAM).bind(team).execute(&mut **transaction).await?;
    let mut after = Seq::ZERO;
    loop {
        let rows: Vec<EventRow> = sqlx::query_as(CHANGES)
            .bind(team)
            .bind(to_bigint(after))
            .bind(CHANGES_AT_ONCE)
            .fetch_all(&mut **transaction)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let event = row.0.into_event(Seq::ZERO).map_err(StoreError::from)?;
            apply_to_directory(transaction, &event).await?;
            after = event.seq;
        }
    }
}

fn statement(event: &Event) -> Option<Statement<'_>> {
    match &event.kind {
        EventKind::Posted { .. } => None,
        EventKind::TeamCreated { name, owner } => Some(create_team(event, name, owner)),
        EventKind::TeamRenamed { name } => Some(rename_team(event, name)),
        EventKind::TeamArchived => Some(archive_team(event)),
        EventKind::MemberAdded { user, role, .. } => Some(add_member(event, user, *role)),
        EventKind::MemberRemoved { user } => Some(remove_member(event, user)),
        EventKind::MemberRoleChanged { user, role } => Some(change_role(event, user, *role)),
    }
}

/// A team that is there already stays as it is, owner included: a second creation takes nothing over.
fn create_team<'q>(event: &'q Event, name: &'q Name, owner: &'q UserId) -> Statement<'q> {
    const CREATE_TEAM: &str = "
        WITH created AS (
            INSERT INTO teams (team_id, name, created_seq, created_time_ms) VALUES ($1, $2, $3, $4)
            ON CONFLICT (team_id) DO NOTHING
            RETURNING team_id)
        INSERT INTO members (team_id, user_id, role, since_seq)
        SELECT team_id, $5, $6, $3 FROM created
        ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role";
    sqlx::query(CREATE_TEAM)
        .bind(event.team.as_str())
        .bind(name.as_str())
        .bind(to_bigint(event.seq))
        .bind(event.time.0)
        .bind(owner.as_str())
        .bind(Role::Owner.as_str())
}

fn rename_team<'q>(event: &'q Event, name: &'q Name) -> Statement<'q> {
    const RENAME_TEAM: &str = "UPDATE teams SET name = $2 WHERE team_id = $1";
    sqlx::query(RENAME_TEAM).bind(event.team.as_str()).bind(name.as_str())
}

fn archive_team(event: &Event) -> Statement<'_> {
    const ARCHIVE_TEAM: &str = "UPDATE teams SET archived = true WHERE team_id = $1";
    sqlx::query(ARCHIVE_TEAM).bind(event.team.as_str())
}

/// One who is a member already gets the role, and stays a member since when they became one.
fn add_member<'q>(event: &'q Event, user: &'q UserId, role: Role) -> Statement<'q> {
    const ADD_MEMBER: &str = "
        INSERT INTO members (team_id, user_id, role, since_seq) VALUES ($1, $2, $3, $4)
        ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role";
    sqlx::query(ADD_MEMBER).bind(event.team.as_str()).bind(user.as_str()).bind(role.as_str()).bind(to_bigint(event.seq))
}

fn remove_member<'q>(event: &'q Event, user: &'q UserId) -> Statement<'q> {
    const REMOVE_MEMBER: &str = "DELETE FROM members WHERE team_id = $1 AND user_id = $2";
    sqlx::query(REMOVE_MEMBER).bind(event.team.as_str()).bind(user.as_str())
}

fn change_role<'q>(event: &'q Event, user: &'q UserId, role: Role) -> Statement<'q> {
    const CHANGE_ROLE: &str = "UPDATE members SET role = $3 WHERE team_id = $1 AND user_id = $2";
    sqlx::query(CHANGE_ROLE).bind(event.team.as_str()).bind(user.as_str()).bind(role.as_str())
}

/// Saves the names that events gave to users.
pub(super) async fn save_names(connection: &mut PgConnection, names: &Names<'_>) -> Result<(), sqlx::Error> {
    const SAVE_NAMES: &str = "
        INSERT INTO users (user_id, name, named_time_ms)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS named (user_id, name, named_time_ms)
        ORDER BY named.user_id COLLATE \"C\"
        ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, named_time_ms = excluded.named_time_ms
        WHERE users.named_time_ms <= excluded.named_time_ms";
    if names.is_empty() {
        return Ok(());
    }
    // Users belong to no partition, so the writers of several may name the same ones at once: in one order, they wait
    // for each other and never in a circle.
    sqlx::query(SAVE_NAMES)
        .bind(names.keys().map(|user| user.as_str()).collect::<Vec<_>>())
        .bind(names.values().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
        .bind(names.values().map(|(_, time)| *time).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
