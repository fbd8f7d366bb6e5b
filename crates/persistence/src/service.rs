//! The service: a task per partition, and their common end.

use std::sync::Arc;

use huddle_log::Log;
use huddle_service::{health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use huddle_store::PartitionStore;
use tokio::task::JoinSet;

use crate::{Config, health::Health, log_watch::LogWatch, metrics::PersistenceMetrics, owner::Owner, seen::Seen};

/// What persistence is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Its settings.
    pub config: Config,
    /// Where events come from.
    pub log: Arc<dyn Log>,
    /// Where they go.
    pub store: Arc<dyn PartitionStore>,
    /// Where its metrics are registered.
    pub metrics: &'a Metrics,
    /// Where it reports as the component `persistence`.
    pub readiness: &'a Readiness,
}

/// Carries all partitions of the log into the store, as far as no other process does.
#[derive(Debug)]
pub struct Persistence {
    owners: Vec<Owner>,
    log: Arc<dyn Log>,
    seen: Arc<Seen>,
}

/// Why persistence ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The task of a partition panicked; the others were stopped.
    #[error("the task of a partition panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Persistence {
    /// Registers metrics and the readiness component; nothing starts yet, and nothing has to be reachable.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { config, log, store, metrics, readiness } = parts;
        let partitions = log.partitions();
        let metrics = PersistenceMetrics::register(metrics);
        let health = Health::new(readiness, partitions);
        let log_watch = Arc::new(LogWatch::new(Arc::clone(&log)));
        let seen = Arc::new(Seen::new(&*log));
        let owner = |partition| Owner {
            partition,
            config: config.clone(),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            metrics: metrics.clone(),
            health: Arc::clone(&health),
            log_watch: Arc::clone(&log_watch),
            seen: Arc::clone(&seen),
        };
        Self { owners: partitions.iter().map(owner).collect(), log, seen }
    }

    /// Runs until `shutdown`: at its soft stage the batches in hand are committed and announced and the claims given up,
    /// at its hard stage they are dropped. Failures of the log and of the store do not end it; they are waited out.
    ///
    /// # Cancel safety
    /// Dropping it drops all claims. A batch in hand is then committed as a whole or not at all.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let mut tasks = JoinSet::new();
        for owner in self.owners {
            tasks.spawn(owner.run(shutdown.clone()));
        }
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(RunError::Panicked)?;
            }
            Ok(())
        };
        tokio::select! {
            outcome = ended => outcome,
            never = self.seen.follow(&*self.log) => match never {},
        }
    }
}
