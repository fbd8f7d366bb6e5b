//! A page of a team's events.

use huddle_domain::{Event, Seq, TeamId};
use huddle_store::{
    Page, StoreError,
    backend::{event_page, to_bigint},
};
use sqlx::{FromRow, Row as _, SqlitePool, sqlite::SqliteRow};

use super::{error::store_error, row::EventRow};

/// What is appended and not yet applied does not show: its partition stands below it.
pub(super) const LIST_EVENTS: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
           entity_kind, entity_id,
           (SELECT before.seq
            FROM events AS before
            WHERE before.team_id = ?1 AND before.seq <= ?2
              AND before.seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = before.partition)
            ORDER BY before.seq DESC
            LIMIT 1)
    FROM events
    WHERE team_id = ?1 AND seq > ?2
      AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
    ORDER BY seq
    LIMIT ?3";

/// As the log has it: whether it is applied or not.
pub(super) const EVENTS_BETWEEN: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
           entity_kind, entity_id,
           (SELECT max(before.seq) FROM events AS before WHERE before.team_id = ?1 AND before.seq <= ?2)
    FROM events
    WHERE team_id = ?1 AND seq > ?2 AND seq <= ?3
    ORDER BY seq
    LIMIT ?4";

struct Row {
    event: EventRow,
    /// The position of the event before the whole page.
    seq_before: Option<i64>,
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { event: EventRow::from_row(row)?, seq_before: row.try_get(13)? })
    }
}

/// Returns up to `limit` events above `after`, oldest first, each with the position of the one before it.
pub(crate) async fn list_events(
    pool: &SqlitePool,
    team: &TeamId,
    after: Seq,
    limit: u32,
) -> Result<Page<Event>, StoreError> {
    let rows = sqlx::query_as::<_, Row>(LIST_EVENTS)
        .bind(team.as_str())
        .bind(to_bigint(after))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing events", error))?;
    let seq_before = rows.first().and_then(|row| row.seq_before);
    Ok(event_page(rows.into_iter().map(|row| row.event.0).collect(), seq_before, limit)?)
}

/// Returns up to `limit` appended events above `after` and up to `through`, oldest first, each with the position of the
/// one before it.
pub(crate) async fn events_between(
    pool: &SqlitePool,
    team: &TeamId,
    after: Seq,
    through: Seq,
    limit: u32,
) -> Result<Page<Event>, StoreError> {
    let rows = sqlx::query_as::<_, Row>(EVENTS_BETWEEN)
        .bind(team.as_str())
        .bind(to_bigint(after))
        .bind(to_bigint(through))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("reading a team's events", error))?;
    let seq_before = rows.first().and_then(|row| row.seq_before);
    Ok(event_page(rows.into_iter().map(|row| row.event.0).collect(), seq_before, limit)?)
}
