//! How far partitions have been said to be stored, by whichever process: what tells that a store went back.

use std::{convert::Infallible, time::Duration};

use huddle_domain::{Partition, Seq};
use huddle_log::{Log, StoredMark, Watermarks};
use huddle_service::backoff::Backoff;
use tokio::time::sleep;

/// The bounds of the first and of every pause before announcements are followed again.
const FOLLOW_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The highest positions that were announced, by this process or another.
#[derive(Debug)]
pub(crate) struct Seen(Watermarks);

impl Seen {
    pub(crate) fn new(log: &dyn Log) -> Self {
        Self(Watermarks::new(log.partitions()))
    }

    /// Takes note that `partition` is stored up to `seq`.
    pub(crate) fn stored(&self, partition: Partition, seq: Seq) {
        self.0.raise(StoredMark { partition, seq });
    }

    /// Compares with `seq`, where a new owner finds `partition`: returns how far it was stored before, when that was
    /// further. It is told once.
    pub(crate) fn went_back(&self, partition: Partition, seq: Seq) -> Option<Seq> {
        let before = self.0.stored(partition);
        if seq < before {
            self.0.lower(StoredMark { partition, seq });
            Some(before)
        } else {
            None
        }
    }

    /// Follows what is announced, until it is dropped.
    pub(crate) async fn follow(&self, log: &dyn Log) -> Infallible {
        let mut backoff = Backoff::new(FOLLOW_RETRY.0, FOLLOW_RETRY.1);
        loop {
            match self.0.follow(log).await {
                Ok(()) => backoff.reset(),
                Err(error) => tracing::debug!(%error, "stored watermarks cannot be followed"),
            }
            let delay = backoff.next_delay(&mut rand::rng());
            sleep(delay).await;
        }
    }
}
