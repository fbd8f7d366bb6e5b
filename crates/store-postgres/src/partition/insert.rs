//! The insertion of events, all at once, and what is in the way of those that could not be inserted.

use std::collections::{HashMap, HashSet};

use huddle_domain::{Event, SendKey, Seq, TeamId};
use huddle_store::DeadLetterReason;
use sqlx::{PgConnection, PgTransaction};

use super::writer::Failure;
use crate::{
    error::broken,
    events::{events_at, sends_by_key},
    row::{KindColumns, from_bigint, to_bigint},
};

/// What became of an event.
#[derive(Debug)]
pub(super) enum Insertion {
    /// It is a new row.
    Stored,
    /// The very same event has been a row already.
    StoredBefore,
    /// It is no row; the detail holds nothing of its content.
    Refused { reason: DeadLetterReason, detail: String },
}

/// An event was not inserted, and nothing is in its way.
#[derive(Debug, thiserror::Error)]
#[error("the event at position {0} was not inserted, and no other event is in its way")]
struct Unexplained(Seq);

/// Inserts `events`, which ascend, and says of each what became of it.
pub(super) async fn insert_events(
    transaction: &mut PgTransaction<'_>,
    events: &[&Event],
) -> Result<Vec<Insertion>, Failure> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = insert(transaction, events).await?;
    let left: Vec<&Event> = events.iter().copied().filter(|event| !inserted.contains(&event.seq)).collect();
    let mut conflicts = if left.is_empty() { HashMap::new() } else { conflicts_of(transaction, &left).await? };
    let insertion = |event: &&Event| match conflicts.remove(&event.seq) {
        _ if inserted.contains(&event.seq) => Ok(Insertion::Stored),
        Some(insertion) => Ok(insertion),
        None => Err(broken("inserting into events", Unexplained(event.seq)).into()),
    };
    events.iter().map(insertion).collect()
}

/// Inserts what neither position nor key is in the way of. Returns the positions of the new rows.
async fn insert(connection: &mut PgConnection, events: &[&Event]) -> Result<HashSet<Seq>, sqlx::Error> {
    // In the log's order: of two events under one key, the first is the one that happened.
    const INSERT_EVENTS: &str = "
        INSERT INTO events
            (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::text[])
            AS event (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
        ORDER BY event.seq
        ON CONFLICT DO NOTHING
        RETURNING seq";
    let kinds: Vec<KindColumns<'_>> = events.iter().map(|event| KindColumns::from(&event.kind)).collect();
    let inserted = sqlx::query_scalar(INSERT_EVENTS)
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
    Ok(inserted.into_iter().map(from_bigint).collect())
}

/// Says of each of `events`, by position, what is in its way.
async fn conflicts_of(connection: &mut PgConnection, events: &[&Event]) -> Result<HashMap<Seq, Insertion>, Failure> {
    let positions: Vec<(&TeamId, Seq)> = events.iter().map(|event| (&event.team, event.seq)).collect();
    let mut at_position = HashMap::new();
    for row in events_at(&mut *connection, &positions).await? {
        let stored = row.into_event(Seq::ZERO)?;
        at_position.insert(stored.seq, stored);
    }
    let keys: Vec<SendKey> = events.iter().map(|event| event.key()).collect();
    let mut distinct: Vec<&SendKey> = keys.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut under_key = HashMap::new();
    for row in sends_by_key(connection, &distinct).await? {
        let stored = row.into_event(Seq::ZERO)?;
        under_key.insert(stored.key(), stored);
    }
    let conflicts = events.iter().zip(&keys);
    Ok(conflicts
        .filter_map(|(event, key)| {
            conflict(event, at_position.get(&event.seq), under_key.get(key)).map(|insertion| (event.seq, insertion))
        })
        .collect())
}

fn conflict(event: &Event, at_position: Option<&Event>, under_key: Option<&Event>) -> Option<Insertion> {
    match (at_position, under_key) {
        (Some(stored), _) if stored.key() == event.key() && stored.kind == event.kind => Some(Insertion::StoredBefore),
        (Some(stored), _) => Some(Insertion::Refused {
            reason: DeadLetterReason::SeqTaken,
            detail: format!("the position holds another event, by {} as {}", stored.sender, stored.client_id),
        }),
        (None, Some(stored)) => {
            let content = if stored.kind == event.kind { "the same content" } else { "other content" };
            Some(Insertion::Refused {
                reason: DeadLetterReason::LateDuplicate,
                detail: format!("the key is stored at position {}, with {content}", stored.seq),
            })
        }
        (None, None) => None,
    }
}
