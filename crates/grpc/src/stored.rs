//! Waiting until a position is stored.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Partition, Seq, TeamId};
use huddle_log::{Log, StoredMark, Watermarks};
use huddle_service::{backoff::Backoff, lifecycle::Shutdown};
use huddle_store::PartitionStore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{CallError, Deadline};

/// First wait before following the marks again, and the longest.
const FOLLOW_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How far each team's partition is stored, from what the log announces and, where that is behind, from the store.
#[derive(Debug)]
pub struct Stored {
    log: Arc<dyn Log>,
    store: Arc<dyn PartitionStore>,
    watermarks: Watermarks,
}

impl Stored {
    /// Nothing is known yet. [`follow`](Self::follow) must run for waits to end without asking the store.
    pub fn new(log: Arc<dyn Log>, store: Arc<dyn PartitionStore>) -> Self {
        let watermarks = Watermarks::new(log.partitions());
        Self { log, store, watermarks }
    }

    /// How far the partition of `team` is known to be stored.
    pub fn known(&self, team: &TeamId) -> Seq {
        self.watermarks.stored(self.partition(team))
    }

    /// How far the partition of `team` is stored, asked of the store.
    pub async fn ask(&self, team: &TeamId, deadline: &Deadline) -> Result<Seq, CallError> {
        let partition = self.partition(team);
        let seq = deadline.bound(self.store.progress(partition)).await?;
        self.watermarks.raise(StoredMark { partition, seq });
        Ok(seq)
    }

    /// Waits until everything of `team` up to `seq` is stored, as long as the deadline allows; fails with
    /// `NOT_YET_STORED` then. The store is asked once, then the log's announcements are waited for. Cancel safe.
    pub async fn reach(&self, team: &TeamId, seq: Seq, deadline: &Deadline) -> Result<(), CallError> {
        if self.known(team) >= seq {
            return Ok(());
        }
        self.reach_until(team, seq, deadline.waits_end()).await
    }

    /// As [`reach`](Self::reach), until `end`.
    pub async fn reach_until(&self, team: &TeamId, seq: Seq, end: Instant) -> Result<(), CallError> {
        let partition = self.partition(team);
        let reached = timeout_at(end, async {
            let stored = self.store.progress(partition).await?;
            self.watermarks.raise(StoredMark { partition, seq: stored });
            self.watermarks.reached(partition, seq).await;
            Ok(())
        });
        match reached.await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallError::not_yet_stored(self.watermarks.stored(partition))),
        }
    }

    /// Follows the log's announcements until the soft stage of the shutdown, and starts again when they end.
    pub async fn follow(&self, shutdown: &Shutdown) {
        let mut backoff = Backoff::new(FOLLOW_RETRY.0, FOLLOW_RETRY.1);
        let follow = async {
            loop {
                match self.watermarks.follow(&*self.log).await {
                    Ok(()) => backoff.reset(),
                    Err(error) => tracing::warn!(%error, "stored watermarks cannot be followed"),
                }
                let delay = backoff.next_delay(&mut rand::rng());
                sleep(delay).await;
            }
        };
        tokio::select! {
            () = shutdown.soft().cancelled() => {}
            () = follow => {}
        }
    }

    fn partition(&self, team: &TeamId) -> Partition {
        self.log.partitions().of(team)
    }
}
