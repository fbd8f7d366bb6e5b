//! The insertion of events, all at once, and what is in the way of those that could not be inserted.

use huddle_domain::{Event, SendKey, Seq, TeamId};
use huddle_store::backend::{Insertion, KindColumns, NewRows, judge, to_bigint};
use sqlx::{PgConnection, PgTransaction};

use super::writer::Failure;
use crate::{
    events::{events_at, sends_by_key},
    row::columns,
};

/// Inserts `events`, which ascend within each team, and says of each what became of it.
pub(super) async fn insert_events(
    transaction: &mut PgTransaction<'_>,
    events: &[&Event],
) -> Result<Vec<Insertion>, Failure> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let new = insert(transaction, events).await?;
    let left: Vec<&Event> = events.iter().copied().filter(|event| !new.contains(event)).collect();
    let (mut at_positions, mut under_keys) = (Vec::new(), Vec::new());
    if !left.is_empty() {
        let mut positions: Vec<(&TeamId, Seq)> = left.iter().map(|event| (&event.team, event.seq)).collect();
        positions.sort_unstable();
        positions.dedup();
        at_positions = columns(events_at(&mut **transaction, &positions).await?);
        let keys: Vec<SendKey> = left.iter().map(|event| event.key()).collect();
        let mut distinct: Vec<&SendKey> = keys.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        under_keys = columns(sends_by_key(&mut **transaction, &distinct).await?);
    }
    Ok(judge(events, &new, at_positions, under_keys)?)
}

/// Inserts what neither position nor key is in the way of. Returns the new rows.
async fn insert(connection: &mut PgConnection, events: &[&Event]) -> Result<NewRows, sqlx::Error> {
    // In the log's order: of two events under one key, the first is the one that happened.
    const INSERT_EVENTS: &str = "
        INSERT INTO events
            (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[])
            AS event (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
        ORDER BY event.seq
        ON CONFLICT DO NOTHING
        RETURNING team_id, seq";
    let kinds: Vec<KindColumns<'_>> = events.iter().map(|event| KindColumns::from(&event.kind)).collect();
    let inserted: Vec<(String, i64)> = sqlx::query_as(INSERT_EVENTS)
        .bind(events.iter().map(|event| event.team.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| to_bigint(event.seq)).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.time.0).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.sender.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.client_id.as_str()).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.kind).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.body).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.member_id).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.member_role).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.name).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(inserted.into_iter().collect())
}
