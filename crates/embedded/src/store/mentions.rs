//! What stored messages mention, and a page of the messages that mention a user.

use huddle_domain::{Event, UserId};
use huddle_store::{
    MentionPosition, Message, Page, StoreError,
    backend::{mention_bound, mention_rows, message_page},
};
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    error::store_error,
    row::{EventRow, columns, parameter},
};

/// Takes one page of each of the user's teams, and of those the newest: what others are mentioned in, or the user in teams of
/// others, is never walked over. What is imported above its partition's position does not show.
pub(super) const LIST_MENTIONS: &str = "
    SELECT events.team_id, events.seq, events.time_ms, sender_id, client_id, kind, body, member_id, member_role, name,
           mentions, entity_kind, entity_id
    FROM (
        SELECT members.team_id, mention.value ->> 0 AS time_ms, mention.value ->> 1 AS seq
        FROM members CROSS JOIN teams USING (team_id) CROSS JOIN jsonb_each((
            SELECT jsonb_group_array(jsonb_array(time_ms, seq))
            FROM (
                SELECT mentions.time_ms, mentions.seq
                FROM mentions CROSS JOIN events
                WHERE mentions.user_id = ?1 AND mentions.team_id = members.team_id
                  AND (mentions.time_ms, mentions.seq) < (?2, CASE
                      WHEN members.team_id < ?3 THEN 9223372036854775807
                      WHEN members.team_id = ?3 THEN ?4
                      ELSE 0 END)
                  AND events.team_id = mentions.team_id AND events.seq = mentions.seq
                  AND events.seq <= (
                      SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
                ORDER BY mentions.time_ms DESC, mentions.seq DESC
                LIMIT ?5))) AS mention
        WHERE members.user_id = ?1
        ORDER BY time_ms DESC, members.team_id DESC, seq DESC
        LIMIT ?5) AS found
    CROSS JOIN events
    WHERE events.team_id = found.team_id AND events.seq = found.seq
    ORDER BY found.time_ms DESC, found.team_id DESC, found.seq DESC";

/// Saves what `events` mention, which become stored. A row that is there already says the same.
pub(super) async fn save_mentions<'a>(
    connection: &mut SqliteConnection,
    events: impl Iterator<Item = &'a Event>,
) -> Result<(), sqlx::Error> {
    const SAVE_MENTIONS: &str = "
        INSERT INTO mentions (user_id, time_ms, team_id, seq)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each(?1)
        WHERE true
        ON CONFLICT DO NOTHING";
    let rows = mention_rows(events, |_| true);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(SAVE_MENTIONS).bind(parameter(rows.into_iter())).execute(connection).await.map(drop)
}

/// Returns up to `limit` messages before `before` that mention `user`, newest first.
pub(crate) async fn list_mentions(
    pool: &SqlitePool,
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
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing mentions", error))?;
    Ok(message_page(columns(rows), limit)?)
}
