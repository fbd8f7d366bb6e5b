//! A page of a team's events.

use huddle_domain::{Event, Seq, TeamId};
use huddle_store::{
    Fence, Page, StoreError,
    backend::{event_page, to_bigint},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    PostgresStore,
    fenced::{Fenced, judge, partition_of},
    row::EventRow,
};

const LIST_EVENTS: &str = "
    SELECT page.*, (SELECT seq FROM log_progress WHERE partition = $4) AS stored
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id,
               (SELECT max(before.seq) FROM events AS before WHERE before.team_id = $1 AND before.seq <= $2) AS seq_before
        FROM events
        WHERE team_id = $1 AND seq > $2
        ORDER BY seq
        LIMIT $3) AS page ON true
    ORDER BY page.seq";

struct Row {
    event: EventRow,
    /// The position of the event before the whole page.
    seq_before: Option<i64>,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { event: EventRow::from_row(row)?, seq_before: row.try_get(13)? })
    }
}

/// Returns up to `limit` events above `after`, oldest first, each with the position of the one before it.
pub(crate) async fn list_events(
    store: &PostgresStore,
    team: &TeamId,
    after: Seq,
    limit: u32,
    fence: Option<Fence>,
) -> Result<Page<Event>, StoreError> {
    let rows = sqlx::query_as::<_, Fenced<Row>>(LIST_EVENTS)
        .bind(team.as_str())
        .bind(to_bigint(after))
        .bind(i64::from(limit) + 1)
        .bind(partition_of(fence))
        .fetch_all(&store.pool);
    let rows = judge(store.connector.read("listing events", rows).await?, fence)?;
    let seq_before = rows.first().and_then(|row| row.seq_before);
    Ok(event_page(rows.into_iter().map(|row| row.event.0).collect(), seq_before, limit)?)
}
