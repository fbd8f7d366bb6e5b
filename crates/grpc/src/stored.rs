//! Waiting until a position is stored, and making sure that a read sees it.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Partition, Seq, TeamId};
use huddle_log::{Log, StoredMark, Watermarks};
use huddle_service::{backoff::Backoff, lifecycle::Shutdown};
use huddle_store::{Fence, PartitionStore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{CallError, Deadline};

/// First wait before following the marks again, and the longest.
const FOLLOW_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The bounds of the first and of every pause after a read that met a store behind what was announced. Where reads are
/// spread over replicas, the next one may meet another.
const BEHIND_RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

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

    /// What a read of `team` has to be made with in order to see everything up to `min_seq`; `None` where that is nothing.
    pub fn fence(&self, team: &TeamId, min_seq: Seq) -> Option<Fence> {
        (!min_seq.is_zero()).then(|| Fence { partition: self.partition(team), seq: min_seq })
    }

    /// Takes note that the store holds the partition of `team` up to `stored` only, whatever was announced.
    pub fn went_back(&self, team: &TeamId, stored: Seq) {
        let partition = self.partition(team);
        let known = self.watermarks.stored(partition);
        if stored < known {
            tracing::warn!(%partition, %stored, announced = %known, "the store holds less than was announced as stored");
            self.watermarks.lower(StoredMark { partition, seq: stored });
        }
    }

    /// Reads what holds everything of `team` up to `min_seq`: waits until that is stored, then does `read`, which makes
    /// its reads of the store with the fence that it is given. When they meet a store that is not that far (one that was
    /// restored from a backup, a replica that lags behind), waits and reads again, as long as the deadline allows, and
    /// fails with `NOT_YET_STORED` then. Cancel safe where `read` is.
    pub async fn read<T, E, F>(
        &self,
        team: &TeamId,
        min_seq: Seq,
        deadline: &Deadline,
        read: impl Fn(Option<Fence>) -> F,
    ) -> Result<T, CallError>
    where
        E: Into<CallError>,
        F: Future<Output = Result<T, E>>,
    {
        let fence = self.fence(team, min_seq);
        let mut backoff = Backoff::new(BEHIND_RETRY.0, BEHIND_RETRY.1);
        loop {
            self.reach(team, min_seq, deadline).await?;
            let error = match deadline.bound(read(fence)).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let Some(stored) = error.stored() else { return Err(error) };
            self.went_back(team, stored);
            let delay = backoff.next_delay(&mut rand::rng());
            if Instant::now() + delay >= deadline.waits_end() {
                return Err(error);
            }
            sleep(delay).await;
        }
    }

    /// Waits until everything of `team` up to `seq` is stored, as long as the deadline allows; fails with
    /// `NOT_YET_STORED` then. The store is asked once, then the log's announcements are waited for. A read that follows may
    /// meet another copy of the store: [`read`](Self::read) makes sure. Cancel safe.
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
