//! A page of a team's messages, and a single one.

use huddle_domain::{Seq, TeamId};
use huddle_store::{
    Fence, Message, MessagePage, MessageQuery, StoreError,
    backend::{MessageWindow, to_bigint},
};

use crate::{
    PostgresStore,
    fenced::{Fenced, judge, partition_of},
    row::{EventRow, columns},
};

/// Every page is a run at or below a position and a run above it.
const LIST_MESSAGES: &str = "
    SELECT page.*, (SELECT seq FROM log_progress WHERE partition = $5) AS stored
    FROM (SELECT 1) AS always LEFT JOIN (
        (SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
                entity_kind, entity_id
         FROM events
         WHERE team_id = $1 AND kind = 'posted' AND seq <= $2
         ORDER BY seq DESC
         LIMIT $3)
        UNION ALL
        (SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
                entity_kind, entity_id
         FROM events
         WHERE team_id = $1 AND kind = 'posted' AND seq > $2
         ORDER BY seq
         LIMIT $4)) AS page ON true";

const MESSAGE: &str = "
    SELECT message.*, (SELECT seq FROM log_progress WHERE partition = $3) AS stored
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = $1 AND seq = $2 AND kind = 'posted') AS message ON true";

/// Returns the page that `query` describes.
pub(crate) async fn list_messages(
    store: &PostgresStore,
    team: &TeamId,
    query: MessageQuery,
    fence: Option<Fence>,
) -> Result<MessagePage, StoreError> {
    let window = MessageWindow::of(query);
    let rows = sqlx::query_as::<_, Fenced<EventRow>>(LIST_MESSAGES)
        .bind(team.as_str())
        .bind(window.at)
        .bind(window.rows_below())
        .bind(window.rows_above())
        .bind(partition_of(fence))
        .fetch_all(&store.pool);
    let rows = judge(store.connector.read("listing messages", rows).await?, fence)?;
    Ok(window.page(columns(rows))?)
}

/// Returns the message that was posted at `seq`.
pub(crate) async fn message(
    store: &PostgresStore,
    team: &TeamId,
    seq: Seq,
    fence: Option<Fence>,
) -> Result<Option<Message>, StoreError> {
    let rows = sqlx::query_as::<_, Fenced<EventRow>>(MESSAGE)
        .bind(team.as_str())
        .bind(to_bigint(seq))
        .bind(partition_of(fence))
        .fetch_all(&store.pool);
    let rows = judge(store.connector.read("reading a message", rows).await?, fence)?;
    Ok(rows.into_iter().next().map(|row| row.0.into_message()).transpose()?)
}
