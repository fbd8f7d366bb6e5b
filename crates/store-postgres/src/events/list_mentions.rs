//! A page of the messages that mention a user.

use huddle_domain::UserId;
use huddle_store::{
    MentionPosition, Message, Page, StoreError,
    backend::{mention_bound, message_page},
};

use crate::{
    PostgresStore,
    row::{EventRow, columns},
};

/// Walks the user's mentions in the order of their key, and looks at the membership on the way. That look is a plain
/// sub-select, which the planner cannot turn into a join that reads all mentions of the user.
const LIST_MENTIONS: &str = "
    SELECT found.*
    FROM (
        SELECT time_ms, team_id, seq
        FROM mentions
        WHERE user_id = $1 AND (time_ms, team_id, seq) < ($2, $3, $4)
          AND (SELECT true
               FROM members JOIN teams USING (team_id)
               WHERE members.team_id = mentions.team_id AND members.user_id = $1)
        ORDER BY time_ms DESC, team_id DESC, seq DESC
        LIMIT $5) AS mention
    CROSS JOIN LATERAL (
        SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
               entity_kind, entity_id
        FROM events
        WHERE team_id = mention.team_id AND seq = mention.seq
        LIMIT 1) AS found
    ORDER BY mention.time_ms DESC, mention.team_id DESC, mention.seq DESC";

/// Returns up to `limit` messages before `before` that mention `user`, newest first.
pub(crate) async fn list_mentions(
    store: &PostgresStore,
    user: &UserId,
    before: Option<&MentionPosition>,
    limit: u32,
) -> Result<Page<Message>, StoreError> {
    let (time_ms, team_id, seq) = mention_bound(before);
    let rows = sqlx::query_as::<_, EventRow>(LIST_MENTIONS)
        .bind(user.as_str())
        .bind(time_ms)
        .bind(team_id)
        .bind(seq)
        .bind(i64::from(limit) + 1)
        .fetch_all(&store.pool);
    Ok(message_page(columns(store.connector.read("listing mentions", rows).await?), limit)?)
}
