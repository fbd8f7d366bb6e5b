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

/// Takes one page of each of the user's teams, and of those the newest: how often others mention the user in teams of their
/// own does not matter.
const LIST_MENTIONS: &str = "
    SELECT found.*
    FROM (
        SELECT mention.*
        FROM members JOIN teams USING (team_id) CROSS JOIN LATERAL (
            SELECT time_ms, team_id, seq
            FROM mentions
            WHERE user_id = $1 AND team_id = members.team_id
              AND (time_ms, seq) < ($2, CASE
                  WHEN members.team_id < $3 THEN 9223372036854775807
                  WHEN members.team_id = $3 THEN $4
                  ELSE 0 END)
            ORDER BY time_ms DESC, seq DESC
            LIMIT $5) AS mention
        WHERE members.user_id = $1
        ORDER BY mention.time_ms DESC, mention.team_id DESC, mention.seq DESC
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
