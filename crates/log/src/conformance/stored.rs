//! Announcements of stored positions.

use std::time::Duration;

use futures_util::StreamExt as _;
use huddle_domain::{Partition, Seq};
use tokio::time::timeout;

use super::{
    Fixture,
    support::{prepared, within},
};
use crate::{Log, StoredFeed, StoredMark};

/// Announcements are repeated every second by their owner; the tests do not wait as long.
const REPEATED_EVERY: Duration = Duration::from_millis(100);

/// What is announced again and again reaches who listens, through whatever handle.
pub async fn announced_positions_reach_every_listener<F: Fixture>() {
    let (fixture, log) = prepared::<F>(3).await;
    let other = fixture.handle().await;
    let mut feeds = [log.stored_marks().await.unwrap(), other.stored_marks().await.unwrap()];
    for mark in [(2, 5), (0, u64::MAX), (2, 6)] {
        let mark = StoredMark { partition: Partition::new(mark.0), seq: Seq::new(mark.1) };
        for feed in &mut feeds {
            announce_until_heard(&*log, mark, feed).await;
        }
    }
}

async fn announce_until_heard(log: &dyn Log, mark: StoredMark, feed: &mut StoredFeed) {
    within("an announcement", async {
        loop {
            log.announce_stored(mark).await.unwrap();
            while let Ok(heard) = timeout(REPEATED_EVERY, feed.next()).await {
                if heard.unwrap() == mark {
                    return;
                }
            }
        }
    })
    .await;
}
