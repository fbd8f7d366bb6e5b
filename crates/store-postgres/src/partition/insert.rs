//! The insertion of events, all at once, and what is in the way of those that could not be inserted.

use huddle_domain::{Event, SendKey, Seq, TeamId, UserId};
use huddle_store::backend::{Insertion, KindColumns, MentionRow, NewRows, judge, mention_rows, to_bigint};
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
    save_mentions(transaction, &mention_rows(events.iter().copied(), |event| new.contains(event))).await?;
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

/// In the log's order: of two events under one key, the first is the one that happened.
const INSERT_EVENTS: &str = "
    INSERT INTO events
        (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[])
        AS event (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
    ORDER BY event.seq
    ON CONFLICT DO NOTHING
    RETURNING team_id, seq";

/// The same for events some of which have tags: most batches have none, and shall not pay for those that do.
const INSERT_TAGGED_EVENTS: &str = "
    INSERT INTO events
        (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions, entity_kind,
         entity_id)
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name,
           string_to_array(mentions, ','), entity_kind, entity_id
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
        AS event (team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
                  entity_kind, entity_id)
    ORDER BY event.seq
    ON CONFLICT DO NOTHING
    RETURNING team_id, seq";

/// Inserts what neither position nor key is in the way of. Returns the new rows.
async fn insert(connection: &mut PgConnection, events: &[&Event]) -> Result<NewRows, sqlx::Error> {
    let kinds: Vec<KindColumns<'_>> = events.iter().map(|event| KindColumns::from(&event.kind)).collect();
    let has_tags = kinds.iter().any(KindColumns::has_tags);
    let mut insertion = sqlx::query_as(if has_tags { INSERT_TAGGED_EVENTS } else { INSERT_EVENTS })
        .bind(events.iter().map(|event| event.team.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| to_bigint(event.seq)).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.time.0).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.sender.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.client_id.as_str()).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.kind).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.body).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.member_id).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.member_role).collect::<Vec<_>>())
        .bind(kinds.iter().map(|columns| columns.name).collect::<Vec<_>>());
    if has_tags {
        insertion = insertion
            .bind(kinds.iter().map(|columns| columns.mentions.map(joined)).collect::<Vec<_>>())
            .bind(kinds.iter().map(|columns| columns.entity_kind).collect::<Vec<_>>())
            .bind(kinds.iter().map(|columns| columns.entity_id).collect::<Vec<_>>());
    }
    let inserted: Vec<(String, i64)> = insertion.fetch_all(connection).await?;
    Ok(inserted.into_iter().collect())
}

/// Ids as one text: a set of lists has no form as a parameter. No id holds a comma.
fn joined(ids: &[UserId]) -> String {
    ids.iter().map(UserId::as_str).collect::<Vec<_>>().join(",")
}

/// Inserts what new messages mention. A row that is there already says the same.
async fn save_mentions(connection: &mut PgConnection, rows: &[MentionRow<'_>]) -> Result<(), sqlx::Error> {
    const SAVE_MENTIONS: &str = "
        INSERT INTO mentions (user_id, time_ms, team_id, seq)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
        ON CONFLICT DO NOTHING";
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(SAVE_MENTIONS)
        .bind(rows.iter().map(|(user, ..)| *user).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, time, ..)| *time).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, _, team, _)| *team).collect::<Vec<_>>())
        .bind(rows.iter().map(|(.., seq)| *seq).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
