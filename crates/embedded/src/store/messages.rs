//! A page of a team's messages, and a single one.

use huddle_domain::{Seq, TeamId};
use huddle_store::{
    Message, MessagePage, MessageQuery, StoreError,
    backend::{MessageWindow, to_bigint},
};
use sqlx::SqlitePool;

use super::{
    error::store_error,
    row::{EventRow, columns},
};

/// Every page is a run at or below a position and a run above it. The index is prescribed, because by its statistics the
/// planner may take the one over events of all kinds.
pub(super) const LIST_MESSAGES: &str = "
    SELECT * FROM (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events INDEXED BY events_messages
        WHERE team_id = ?1 AND kind = 'posted' AND seq <= ?2
          AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
        ORDER BY seq DESC
        LIMIT ?3)
    UNION ALL
    SELECT * FROM (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events INDEXED BY events_messages
        WHERE team_id = ?1 AND kind = 'posted' AND seq > ?2
          AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
        ORDER BY seq
        LIMIT ?4)";

pub(super) const MESSAGE: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
           entity_kind, entity_id
    FROM events
    WHERE team_id = ?1 AND seq = ?2 AND kind = 'posted'
      AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)";

/// Returns the page that `query` describes.
pub(crate) async fn list_messages(
    pool: &SqlitePool,
    team: &TeamId,
    query: MessageQuery,
) -> Result<MessagePage, StoreError> {
    let window = MessageWindow::of(query);
    let rows = sqlx::query_as::<_, EventRow>(LIST_MESSAGES)
        .bind(team.as_str())
        .bind(window.at)
        .bind(window.rows_below())
        .bind(window.rows_above())
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing messages", error))?;
    Ok(window.page(columns(rows))?)
}

/// Returns the message that was posted at `seq`.
pub(crate) async fn message(pool: &SqlitePool, team: &TeamId, seq: Seq) -> Result<Option<Message>, StoreError> {
    let row = sqlx::query_as::<_, EventRow>(MESSAGE)
        .bind(team.as_str())
        .bind(to_bigint(seq))
        .fetch_optional(pool)
        .await
        .map_err(|error| store_error("reading a message", error))?;
    Ok(row.map(|row| row.0.into_message()).transpose()?)
}
