//! One partition's task: a term of ownership after the other, with pauses that are bounded and spread.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use huddle_domain::Partition;
use huddle_log::Log;
use huddle_service::{backoff::Backoff, lifecycle::Shutdown};
use huddle_store::{PartitionStore, StoreError};
use rand::RngExt as _;
use tokio::time::{Instant, sleep};

use crate::{
    Config,
    health::Health,
    log_watch::LogWatch,
    metrics::PersistenceMetrics,
    seen::Seen,
    term::{Ended, Office, TermError, serve},
};

/// How long a replica waits between two looks at a partition that another one owns, at least and at most.
const CLAIM_RETRY_MIN: Duration = Duration::from_millis(500);
const CLAIM_RETRY_MAX: Duration = Duration::from_secs(1);

/// The bounds of the first and of every pause after a failure.
const FAILURE_PAUSE_BASE: Duration = Duration::from_millis(100);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A term that lasted this long was a success, however it ended: pauses are short again.
const TERM_WORTH: Duration = Duration::from_secs(10);

/// Takes care of one partition.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) partition: Partition,
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn PartitionStore>,
    pub(crate) metrics: PersistenceMetrics,
    pub(crate) health: Arc<Health>,
    pub(crate) log_watch: Arc<LogWatch>,
    pub(crate) seen: Arc<Seen>,
}

impl Owner {
    /// Runs until the soft stage of the shutdown, and finishes the batch in hand; drops it at the hard stage.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = self.serve_terms(&shutdown) => {}
            () = shutdown.hard().cancelled() => {
                tracing::warn!(partition = %self.partition, "batch dropped by the shutdown");
            }
        }
    }

    async fn serve_terms(&self, shutdown: &Shutdown) {
        let mut backoff = Backoff::new(FAILURE_PAUSE_BASE, FAILURE_PAUSE_MAX);
        while !shutdown.is_requested() {
            let began = Instant::now();
            let outcome = serve(self.office(shutdown)).await;
            if began.elapsed() >= TERM_WORTH {
                backoff.reset();
            }
            let pause = match self.judge(outcome, &mut backoff).await {
                ControlFlow::Continue(pause) => pause,
                ControlFlow::Break(()) => return,
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.soft().cancelled() => {}
            }
        }
    }

    /// What follows from how a term ended: a pause, or the end.
    async fn judge(&self, outcome: Result<Ended, TermError>, backoff: &mut Backoff) -> ControlFlow<(), Duration> {
        let pause = match outcome {
            Ok(Ended::ShutDown) => return ControlFlow::Break(()),
            Ok(Ended::OwnedElsewhere) => {
                backoff.reset();
                self.stand_by().await;
                rand::rng().random_range(CLAIM_RETRY_MIN..=CLAIM_RETRY_MAX)
            }
            Err(error) => {
                self.fail(&error);
                backoff.next_delay(&mut rand::rng())
            }
        };
        ControlFlow::Continue(pause)
    }

    /// Another replica has the partition: this one is of use as long as it could take over.
    async fn stand_by(&self) {
        match self.log_watch.problem().await {
            None => self.health.is_well(self.partition),
            Some(problem) => self.health.has_problem(self.partition, problem),
        }
    }

    fn fail(&self, error: &TermError) {
        let partition = self.partition;
        self.metrics.terms_failed.inc();
        if matches!(error, TermError::Store(StoreError::NotOwner)) {
            tracing::warn!(%partition, "the claim was lost to another owner");
        } else if error.is_retryable() {
            tracing::warn!(%partition, error = %Chain(error), "persistence is held up");
        } else {
            tracing::error!(%partition, error = %Chain(error), "persistence cannot go on without an operator's help");
        }
        self.health.has_problem(partition, error.to_string());
    }

    fn office<'a>(&'a self, shutdown: &'a Shutdown) -> Office<'a> {
        Office {
            partition: self.partition,
            config: &self.config,
            log: &*self.log,
            store: &*self.store,
            metrics: &self.metrics,
            health: &self.health,
            seen: &self.seen,
            shutdown,
        }
    }
}

/// An error with its sources, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
