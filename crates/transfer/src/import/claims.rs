//! The claims on the target's partitions, kept alive whatever else is waited for.

use std::{collections::BTreeMap, future::Future, pin::pin, time::Duration};

use futures_util::future::try_join_all;
use huddle_domain::Partition;
use huddle_store::{PartitionWriter, StoreError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::{ImportError, Target};

/// How often a claim is made sure of. A store may end the claim of one that says nothing for 3 s.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// How long a partition may take to be free: its owner may have been killed, or paused, a moment ago.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(5);
const CLAIM_RETRY: Duration = Duration::from_millis(200);

/// One writer for each partition of the target.
#[derive(Debug)]
pub(super) struct Claims {
    writers: BTreeMap<Partition, Box<dyn PartitionWriter>>,
    heartbeat: Interval,
}

impl Claims {
    /// Claims every partition of the target.
    pub(super) async fn claim(target: &Target<'_>) -> Result<Self, ImportError> {
        let mut heartbeat = interval(CONFIRM_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut claims = Self { writers: BTreeMap::new(), heartbeat };
        let deadline = Instant::now() + CLAIM_WAIT_MAX;
        for partition in target.log.partitions().iter() {
            let writer = loop {
                match claims.meanwhile(target.partitions.claim(partition)).await?? {
                    Some(writer) => break writer,
                    None if Instant::now() < deadline => claims.meanwhile(sleep(CLAIM_RETRY)).await?,
                    None => return Err(ImportError::Claimed { partition }),
                }
            };
            claims.writers.insert(partition, writer);
        }
        Ok(claims)
    }

    /// Waits for `work` and keeps all claims alive meanwhile.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                _ = self.heartbeat.tick() => {
                    try_join_all(self.writers.values_mut().map(|writer| writer.confirm())).await?;
                }
                outcome = &mut work => return Ok(outcome),
            }
        }
    }

    /// Lets the writer of `partition` work, and keeps the others' claims alive meanwhile.
    pub(super) async fn with_writer<T>(
        &mut self,
        partition: Partition,
        work: impl AsyncFnOnce(&mut dyn PartitionWriter) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(mut writer) = self.writers.remove(&partition) else { return Err(StoreError::NotOwner) };
        // After an error the claim is not to be trusted: it is given up with the writer.
        let outcome = self.meanwhile(work(&mut *writer)).await??;
        self.writers.insert(partition, writer);
        Ok(outcome)
    }
}
