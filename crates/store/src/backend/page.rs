//! What rows become a page. Each read asks for one row more than the page holds: that one says whether there are more.

use huddle_domain::{Event, Seq};

use super::{EventColumns, Unreadable, columns::from_bigint, to_bigint};
use crate::{Message, MessagePage, MessagePosition, MessageQuery, Order, Page};

/// Drops what was read only to know that there is more.
pub fn truncate<T>(rows: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// A page of a team's events from up to `limit` + 1 rows, which ascend; `seq_before` is the position of the event
/// before the first of them.
pub fn event_page(mut rows: Vec<EventColumns>, seq_before: Option<i64>, limit: u32) -> Result<Page<Event>, Unreadable> {
    let has_more = truncate(&mut rows, limit);
    let mut prev_seq = seq_before.map_or(Seq::ZERO, from_bigint);
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let event = row.into_event(prev_seq)?;
        prev_seq = event.seq;
        items.push(event);
    }
    Ok(Page { items, has_more })
}

/// A page of messages from up to `limit` + 1 rows, in their order.
pub fn message_page(mut rows: Vec<EventColumns>, limit: u32) -> Result<Page<Message>, Unreadable> {
    let has_more = truncate(&mut rows, limit);
    let items = rows.into_iter().map(EventColumns::into_message).collect::<Result<_, _>>()?;
    Ok(Page { items, has_more })
}

/// A page of messages as two runs: `below` messages at or below `at`, and `above` messages above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageWindow {
    /// The position between the runs, as a column holds it.
    pub at: i64,
    /// How many messages at or below it.
    pub below: u32,
    /// How many above it.
    pub above: u32,
    order: Order,
}

impl MessageWindow {
    /// The window that `query` describes.
    pub fn of(query: MessageQuery) -> Self {
        let MessageQuery { position, limit, order } = query;
        let (at, below, above) = match position {
            MessagePosition::Newest => (Seq::new(u64::MAX), limit, 0),
            MessagePosition::Oldest => (Seq::ZERO, 0, limit),
            MessagePosition::Before(seq) => (Seq::new(seq.get().saturating_sub(1)), limit, 0),
            MessagePosition::After(seq) => (seq, 0, limit),
            MessagePosition::Around(seq) => (seq, limit.div_ceil(2), limit / 2),
        };
        Self { at: to_bigint(at), below, above, order }
    }

    /// How many rows to read at or below [`at`](Self::at): one more than the page may hold.
    pub fn rows_below(&self) -> i64 {
        i64::from(self.below) + 1
    }

    /// How many rows to read above [`at`](Self::at): one more than the page may hold.
    pub fn rows_above(&self) -> i64 {
        i64::from(self.above) + 1
    }

    /// The page from the rows of both runs, in any order.
    pub fn page(&self, rows: Vec<EventColumns>) -> Result<MessagePage, Unreadable> {
        let (mut below, mut above): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.seq <= self.at);
        below.sort_unstable_by_key(|row| std::cmp::Reverse(row.seq));
        above.sort_unstable_by_key(|row| row.seq);
        let has_older = truncate(&mut below, self.below);
        let has_newer = truncate(&mut above, self.above);

        let ascending = below.into_iter().rev().chain(above);
        let mut messages = ascending.map(EventColumns::into_message).collect::<Result<Vec<_>, _>>()?;
        if self.order == Order::NewestFirst {
            messages.reverse();
        }
        Ok(MessagePage { messages, has_older, has_newer })
    }
}
