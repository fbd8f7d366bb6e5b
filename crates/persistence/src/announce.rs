//! The stored watermark of a partition, told to everyone while this process owns it.

use std::{convert::Infallible, time::Duration};

use huddle_domain::{Partition, Seq};
use huddle_log::{Log, StoredMark};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::metrics::PersistenceMetrics;

/// How often the watermark is announced without a change: a little more than once a second, so that no one who waits
/// for it sees a full second go by.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(900);

/// How long one announcement may take. The next one says more.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(1);

/// Announces what `committed` holds, after each change and every [`ANNOUNCE_INTERVAL`], until it is dropped. Changes
/// that come while the log is slow are announced together.
pub(crate) async fn keep_announcing(
    log: &dyn Log,
    partition: Partition,
    mut committed: watch::Receiver<Seq>,
    metrics: &PersistenceMetrics,
) -> Infallible {
    let mut ticks = interval(ANNOUNCE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = committed.changed() => if changed.is_err() {
                // The owner is gone, and drops this next.
                return std::future::pending().await;
            },
        }
        let seq = *committed.borrow_and_update();
        announce(log, StoredMark { partition, seq }, metrics).await;
    }
}

/// Announces `mark` once. A failure is counted and otherwise left alone: the mark is in the store for all to see.
pub(crate) async fn announce(log: &dyn Log, mark: StoredMark, metrics: &PersistenceMetrics) {
    let failure: Box<dyn std::error::Error> = match timeout(ANNOUNCE_TIMEOUT, log.announce_stored(mark)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.into(),
        Err(elapsed) => elapsed.into(),
    };
    metrics.announcements_failed.inc();
    tracing::debug!(partition = %mark.partition, error = %failure, "stored watermark not announced");
}
