//! What is told to readers and followers after each commit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::StreamExt as _;
use huddle_domain::{Event, Partition, Partitions, Seq, TeamId};
use huddle_log::{LiveFeed, LiveItem, StoredFeed, StoredMark};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::engine::Positions;

/// Events of a team that wait for a follower before it is told that it has missed some. Each place takes some 40 bytes for
/// every team that is followed.
const LIVE_CAPACITY: usize = 1_024;
/// Stored watermarks that wait for a listener; they repeat.
const MARKS_CAPACITY: usize = 256;

/// The feeds of one file. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Feeds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where each partition ends, as far as it is committed; `None` while it is not prepared.
    ends: Box<[watch::Sender<Option<Seq>>]>,
    // Held for a look-up or an insertion, never across a wait.
    teams: Mutex<HashMap<TeamId, broadcast::Sender<Arc<Event>>>>,
    marks: broadcast::Sender<StoredMark>,
}

impl Feeds {
    pub(crate) fn new(partitions: Partitions, positions: &Positions) -> Self {
        let ends = partitions.iter().map(|partition| watch::Sender::new(positions.end(partition))).collect();
        Self(Arc::new(Inner { ends, teams: Mutex::default(), marks: broadcast::Sender::new(MARKS_CAPACITY) }))
    }

    /// Where `partition` ends; `None` while it is not prepared.
    pub(crate) fn end(&self, partition: Partition) -> Option<Seq> {
        self.0.ends.get(usize::from(partition.number())).and_then(|end| *end.borrow())
    }

    /// Changes whenever `partition` has grown; `None` for a partition that there is not.
    pub(crate) fn watch_end(&self, partition: Partition) -> Option<watch::Receiver<Option<Seq>>> {
        self.0.ends.get(usize::from(partition.number())).map(watch::Sender::subscribe)
    }

    /// Tells what has been committed: `events` in the order of the log.
    pub(crate) fn tell(&self, partitions: Partitions, positions: &Positions, events: &[Arc<Event>]) {
        for (partition, end) in partitions.iter().zip(&self.0.ends) {
            let committed = positions.end(partition);
            end.send_if_modified(|known| std::mem::replace(known, committed) != committed);
        }
        let mut teams = self.teams();
        for event in events {
            // A feed that nobody follows any longer goes with the next event of its team.
            if let Some(feed) = teams.get(&event.team)
                && feed.send(Arc::clone(event)).is_err()
            {
                teams.remove(&event.team);
            }
        }
    }

    /// Follows `team` from now on.
    pub(crate) fn follow(&self, team: &TeamId) -> LiveFeed {
        let mut teams = self.teams();
        if teams.len() >= teams.capacity() {
            // Teams without any event would stay for good, and whoever subscribes can make up their ids. Done when the map
            // would grow, so that each feed is looked at a bounded number of times.
            teams.retain(|_, feed| feed.receiver_count() > 0);
        }
        let feed = teams.entry(team.clone()).or_insert_with(|| broadcast::Sender::new(LIVE_CAPACITY));
        BroadcastStream::new(feed.subscribe())
            .map(|item| match item {
                Ok(event) => LiveItem::Event(event),
                Err(BroadcastStreamRecvError::Lagged(_)) => LiveItem::Interrupted,
            })
            .boxed()
    }

    pub(crate) fn announce(&self, mark: StoredMark) {
        // Nobody may be listening.
        let _ = self.0.marks.send(mark);
    }

    pub(crate) fn marks(&self) -> StoredFeed {
        // What a slow listener has missed is announced again within a second.
        BroadcastStream::new(self.0.marks.subscribe()).filter_map(|mark| std::future::ready(mark.ok())).boxed()
    }

    fn teams(&self) -> MutexGuard<'_, HashMap<TeamId, broadcast::Sender<Arc<Event>>>> {
        self.0.teams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_that_nobody_follows_any_longer_take_no_memory() {
        let partitions = Partitions::new(1).unwrap();
        let feeds = Feeds::new(partitions, &Positions::default());
        let kept = feeds.follow(&TeamId::parse("kept").unwrap());
        for number in 0..10_000 {
            drop(feeds.follow(&TeamId::parse(&format!("made-up-{number}")).unwrap()));
        }
        assert!(feeds.teams().len() < 16, "{}", feeds.teams().len());
        assert!(feeds.teams().contains_key("kept"));
        drop(kept);
    }
}
