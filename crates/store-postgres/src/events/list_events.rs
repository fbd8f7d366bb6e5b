//! A page of a team's events.

use huddle_domain::{Event, Seq, TeamId};
use huddle_store::{Page, StoreError};

use crate::{
    PostgresStore,
    row::{EventRow, from_bigint, to_bigint, truncate},
};

const LIST_EVENTS: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name,
           (SELECT max(before.seq) FROM events AS before WHERE before.team_id = $1 AND before.seq <= $2) AS seq_before
    FROM events
    WHERE team_id = $1 AND seq > $2
    ORDER BY seq
    LIMIT $3";

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    event: EventRow,
    /// The position of the event before the whole page.
    seq_before: Option<i64>,
}

/// Returns up to `limit` events above `after`, oldest first, each with the position of the one before it.
pub(crate) async fn list_events(
    store: &PostgresStore,
    team: &TeamId,
    after: Seq,
    limit: u32,
) -> Result<Page<Event>, StoreError> {
    let rows = sqlx::query_as::<_, Row>(LIST_EVENTS)
        .bind(team.as_str())
        .bind(to_bigint(after))
        .bind(i64::from(limit) + 1)
        .fetch_all(&store.pool);
    let mut rows = store.connector.read("listing events", rows).await?;
    let has_more = truncate(&mut rows, limit);
    let mut prev_seq = rows.first().and_then(|row| row.seq_before).map_or(Seq::ZERO, from_bigint);
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let event = row.event.into_event(prev_seq)?;
        prev_seq = event.seq;
        items.push(event);
    }
    Ok(Page { items, has_more })
}
