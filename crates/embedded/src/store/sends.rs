//! Events by key and by position, many at once. Stored or not: a key is taken from the append on.

use huddle_domain::{Event, SendKey, Seq};
use huddle_store::{StoreError, backend::to_bigint};
use sqlx::{SqliteExecutor, SqlitePool};

use super::{
    error::store_error,
    row::{EventRow, parameter},
};

// CROSS JOIN makes each key a look-up in the index, whatever the planner thinks of their number.
pub(super) const SENDS_BY_KEY: &str = "
    SELECT events.team_id, events.seq, time_ms, events.sender_id, events.client_id, kind, body, member_id, member_role,
           name, mentions, entity_kind, entity_id
    FROM jsonb_each(?1) AS key CROSS JOIN events
    WHERE events.team_id = key.value ->> 0
      AND events.sender_id = key.value ->> 1
      AND events.client_id = key.value ->> 2";

pub(super) const EVENTS_AT: &str = "
    SELECT events.team_id, events.seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name,
           mentions, entity_kind, entity_id
    FROM jsonb_each(?1) AS position CROSS JOIN events
    WHERE events.team_id = position.value ->> 0 AND events.seq = position.value ->> 1";

/// Returns the events that were appended under any of `keys`.
pub(crate) async fn find_sends(pool: &SqlitePool, keys: &[SendKey]) -> Result<Vec<Event>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys: Vec<&SendKey> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    let rows = sends_by_key(pool, &keys).await;
    let rows = rows.map_err(|error| store_error("finding sends", error))?;
    rows.into_iter().map(|row| Ok(row.into_event(Seq::ZERO)?)).collect()
}

/// The rows under `keys`, which are distinct.
pub(crate) async fn sends_by_key<'c>(
    executor: impl SqliteExecutor<'c>,
    keys: &[&SendKey],
) -> Result<Vec<EventRow>, sqlx::Error> {
    let keys = keys.iter().map(|key| (key.team.as_str(), key.sender.as_str(), key.client_id.as_str()));
    sqlx::query_as(SENDS_BY_KEY).bind(parameter(keys)).fetch_all(executor).await
}

/// The rows at the positions of `events`.
pub(super) async fn events_at<'c>(
    executor: impl SqliteExecutor<'c>,
    events: &[&Event],
) -> Result<Vec<EventRow>, sqlx::Error> {
    let positions = events.iter().map(|event| (event.team.as_str(), to_bigint(event.seq)));
    sqlx::query_as(EVENTS_AT).bind(parameter(positions)).fetch_all(executor).await
}
