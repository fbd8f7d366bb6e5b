//! Reads a live feed as fast as it comes, whatever its reader does, and holds a bounded part of it.
//!
//! A feed that nobody reads would fill the buffers of the log's own connection, which all streams of the process share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::StreamExt as _;
use huddle_log::{LiveFeed, LiveItem};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Live items that are held for one stream. What comes on top is dropped, and read from the store later.
const HELD_ITEMS_MAX: usize = 128;

/// The live items of one stream.
#[derive(Debug)]
pub(crate) struct Held {
    queue: Arc<Queue>,
    _reading: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Queue {
    // A plain mutex: held for a push or a pop, never across an await.
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<LiveItem>,
    /// Whether an item was dropped since the reader was last told so.
    dropped: bool,
    ended: bool,
}

impl Held {
    /// Starts to read `feed`, until this is dropped or the feed ends. Must be called within a Tokio runtime.
    pub(crate) fn new(mut feed: LiveFeed) -> Self {
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        let reading = tokio::spawn(async move {
            while let Some(item) = feed.next().await {
                writer.push(item);
            }
            writer.end();
        });
        Self { queue, _reading: AbortOnDropHandle::new(reading) }
    }

    /// The next item; `None` when the feed has ended. After [`LiveItem::Interrupted`], events from before it may follow.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<LiveItem> {
        loop {
            {
                let mut state = self.queue.lock();
                if std::mem::take(&mut state.dropped) {
                    return Some(LiveItem::Interrupted);
                }
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            self.queue.news.notified().await;
        }
    }
}

impl Queue {
    fn push(&self, item: LiveItem) {
        let mut state = self.lock();
        if state.items.len() < HELD_ITEMS_MAX {
            state.items.push_back(item);
        } else {
            state.dropped = true;
        }
        drop(state);
        self.news.notify_one();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use huddle_domain::{ClientId, Event, EventKind, Seq, TeamId, UnixMillis, UserId};
    use tokio::time::timeout;

    use super::*;

    fn event(seq: u64) -> LiveItem {
        LiveItem::Event(Arc::new(Event {
            team: TeamId::parse("t").unwrap(),
            seq: Seq::new(seq),
            prev_seq: Seq::new(seq - 1),
            time: UnixMillis(0),
            sender: UserId::parse("u").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            kind: EventKind::TeamArchived,
        }))
    }

    #[tokio::test]
    async fn a_reader_that_lags_too_far_is_told_and_gets_the_rest() {
        let count = HELD_ITEMS_MAX as u64 + 10;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let feed = stream::iter(1..=count).map(event).chain(stream::once(async {
            drop(end);
            std::future::pending().await
        }));
        let mut held = Held::new(feed.boxed());
        timeout(Duration::from_secs(20), ended).await.unwrap().unwrap_err();

        assert!(matches!(held.next().await, Some(LiveItem::Interrupted)));
        for expected in 1..=HELD_ITEMS_MAX as u64 {
            let Some(LiveItem::Event(event)) = held.next().await else { panic!("{expected} is missing") };
            assert_eq!(event.seq, Seq::new(expected));
        }
    }

    #[tokio::test]
    async fn the_end_of_the_feed_comes_after_its_events() {
        let mut held = Held::new(stream::iter([event(1)]).boxed());
        assert!(matches!(held.next().await, Some(LiveItem::Event(_))));
        assert!(held.next().await.is_none());
    }
}
