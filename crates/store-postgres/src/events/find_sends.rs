//! Events by key and by position, many at once.

use huddle_domain::{Event, SendKey, Seq, TeamId};
use huddle_store::{StoreError, backend::to_bigint};
use sqlx::PgExecutor;

use crate::{PostgresStore, row::EventRow};

// LATERAL with a limit is what keeps each key a look-up in the index, whatever the planner thinks of their number.
const SENDS_BY_KEY: &str = "
    SELECT found.*
    FROM unnest($1::text[], $2::text[], $3::text[]) AS key (team_id, sender_id, client_id)
    CROSS JOIN LATERAL (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = key.team_id AND sender_id = key.sender_id AND client_id = key.client_id
        LIMIT 1) AS found";

/// One key alone is the common case, and cheaper to plan.
const SEND_BY_KEY: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
           entity_kind, entity_id
    FROM events
    WHERE team_id = $1 AND sender_id = $2 AND client_id = $3";

const EVENTS_AT: &str = "
    SELECT found.*
    FROM unnest($1::text[], $2::bigint[]) AS position (team_id, seq)
    CROSS JOIN LATERAL (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = position.team_id AND seq = position.seq
        LIMIT 1) AS found";

/// Returns the events that are stored under any of `keys`.
pub(crate) async fn find_sends(store: &PostgresStore, keys: &[SendKey]) -> Result<Vec<Event>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys: Vec<&SendKey> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    let rows = store.connector.read("finding sends", sends_by_key(&store.pool, &keys)).await?;
    rows.into_iter().map(|row| Ok(row.0.into_event(Seq::ZERO)?)).collect()
}

/// The rows under `keys`, which are distinct.
pub(crate) async fn sends_by_key<'c>(
    executor: impl PgExecutor<'c>,
    keys: &[&SendKey],
) -> Result<Vec<EventRow>, sqlx::Error> {
    if let [key] = keys {
        let key = [key.team.as_str(), key.sender.as_str(), key.client_id.as_str()];
        return key.iter().fold(sqlx::query_as(SEND_BY_KEY), |query, part| query.bind(*part)).fetch_all(executor).await;
    }
    let teams: Vec<&str> = keys.iter().map(|key| key.team.as_str()).collect();
    let senders: Vec<&str> = keys.iter().map(|key| key.sender.as_str()).collect();
    let client_ids: Vec<&str> = keys.iter().map(|key| key.client_id.as_str()).collect();
    sqlx::query_as(SENDS_BY_KEY).bind(teams).bind(senders).bind(client_ids).fetch_all(executor).await
}

/// The rows at `positions`, which are distinct.
pub(crate) async fn events_at<'c>(
    executor: impl PgExecutor<'c>,
    positions: &[(&TeamId, Seq)],
) -> Result<Vec<EventRow>, sqlx::Error> {
    let teams: Vec<&str> = positions.iter().map(|(team, _)| team.as_str()).collect();
    let seqs: Vec<i64> = positions.iter().map(|(_, seq)| to_bigint(*seq)).collect();
    sqlx::query_as(EVENTS_AT).bind(teams).bind(seqs).fetch_all(executor).await
}
