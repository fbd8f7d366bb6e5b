//! A page of a team's messages, and a single one.

use huddle_domain::{Event, EventKind, Seq, TeamId};
use huddle_store::{Message, MessagePage, MessagePosition, MessageQuery, Order, StoreError};

use crate::{
    PostgresStore,
    error::{Unreadable, broken},
    row::{EventRow, to_bigint, truncate},
};

/// Every page is a run at or below a position and a run above it. Each run asks for one message more than it returns:
/// that one says whether there are more.
const LIST_MESSAGES: &str = "
    (SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name
     FROM events
     WHERE team_id = $1 AND kind = 'posted' AND seq <= $2
     ORDER BY seq DESC
     LIMIT $3)
    UNION ALL
    (SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name
     FROM events
     WHERE team_id = $1 AND kind = 'posted' AND seq > $2
     ORDER BY seq
     LIMIT $4)";

const MESSAGE: &str = "
    SELECT team_id, seq, time_ms, sender_id, client_id, kind, body, member_id, member_role, name
    FROM events
    WHERE team_id = $1 AND seq = $2 AND kind = 'posted'";

/// How many messages at or below `at`, and how many above it.
struct Window {
    at: Seq,
    below: u32,
    above: u32,
}

impl Window {
    fn of(query: MessageQuery) -> Self {
        let limit = query.limit;
        match query.position {
            MessagePosition::Newest => Self { at: Seq::new(u64::MAX), below: limit, above: 0 },
            MessagePosition::Oldest => Self { at: Seq::ZERO, below: 0, above: limit },
            MessagePosition::Before(seq) => Self { at: Seq::new(seq.get().saturating_sub(1)), below: limit, above: 0 },
            MessagePosition::After(seq) => Self { at: seq, below: 0, above: limit },
            MessagePosition::Around(seq) => Self { at: seq, below: limit.div_ceil(2), above: limit / 2 },
        }
    }
}

/// Returns the page that `query` describes.
pub(crate) async fn list_messages(
    store: &PostgresStore,
    team: &TeamId,
    query: MessageQuery,
) -> Result<MessagePage, StoreError> {
    let window = Window::of(query);
    let at = to_bigint(window.at);
    let rows = sqlx::query_as::<_, EventRow>(LIST_MESSAGES)
        .bind(team.as_str())
        .bind(at)
        .bind(i64::from(window.below) + 1)
        .bind(i64::from(window.above) + 1)
        .fetch_all(&store.pool);
    let rows = store.connector.read("listing messages", rows).await?;

    let (mut below, mut above): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.seq <= at);
    below.sort_unstable_by_key(|row| std::cmp::Reverse(row.seq));
    above.sort_unstable_by_key(|row| row.seq);
    let has_older = truncate(&mut below, window.below);
    let has_newer = truncate(&mut above, window.above);

    let ascending = below.into_iter().rev().chain(above);
    let mut messages = ascending.map(into_message).collect::<Result<Vec<_>, _>>()?;
    if query.order == Order::NewestFirst {
        messages.reverse();
    }
    Ok(MessagePage { messages, has_older, has_newer })
}

/// Returns the message that was posted at `seq`.
pub(crate) async fn message(store: &PostgresStore, team: &TeamId, seq: Seq) -> Result<Option<Message>, StoreError> {
    let row =
        sqlx::query_as::<_, EventRow>(MESSAGE).bind(team.as_str()).bind(to_bigint(seq)).fetch_optional(&store.pool);
    store.connector.read("reading a message", row).await?.map(into_message).transpose()
}

fn into_message(row: EventRow) -> Result<Message, StoreError> {
    let Event { team, seq, time, sender, client_id, kind, .. } = row.into_event(Seq::ZERO)?;
    let EventKind::Posted { body } = kind else {
        let row = format!("({team}, {seq})");
        let reason = "not a message".to_owned();
        return Err(broken("reading a message", Unreadable { table: "events", row, column: "kind", reason }));
    };
    Ok(Message { team, seq, time, sender, client_id, body })
}
