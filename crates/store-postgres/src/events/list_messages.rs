//! A page of a team's messages, and a single one.

use huddle_domain::{Seq, TeamId};
use huddle_store::{
    Message, MessagePage, MessageQuery, StoreError,
    backend::{MessageWindow, to_bigint},
};

use crate::{
    PostgresStore,
    row::{EventRow, columns},
};

/// Every page is a run at or below a position and a run above it.
const LIST_MESSAGES: &str = "
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
     LIMIT $4)";

const MESSAGE: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
           entity_kind, entity_id
    FROM events
    WHERE team_id = $1 AND seq = $2 AND kind = 'posted'";

/// Returns the page that `query` describes.
pub(crate) async fn list_messages(
    store: &PostgresStore,
    team: &TeamId,
    query: MessageQuery,
) -> Result<MessagePage, StoreError> {
    let window = MessageWindow::of(query);
    let rows = sqlx::query_as::<_, EventRow>(LIST_MESSAGES)
        .bind(team.as_str())
        .bind(window.at)
        .bind(window.rows_below())
        .bind(window.rows_above())
        .fetch_all(&store.pool);
    Ok(window.page(columns(store.connector.read("listing messages", rows).await?))?)
}

/// Returns the message that was posted at `seq`.
pub(crate) async fn message(store: &PostgresStore, team: &TeamId, seq: Seq) -> Result<Option<Message>, StoreError> {
    let row =
        sqlx::query_as::<_, EventRow>(MESSAGE).bind(team.as_str()).bind(to_bigint(seq)).fetch_optional(&store.pool);
    let row = store.connector.read("reading a message", row).await?;
    Ok(row.map(|row| row.0.into_message()).transpose()?)
}
