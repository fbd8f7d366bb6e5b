//! What every method reads with, and the way from a request to the right to read.

use std::{sync::Arc, time::Duration};

use huddle_auth::Verifier;
use huddle_domain::{Seq, TeamId};
use huddle_grpc::{Call, CallError, Stored};
use huddle_log::Log;
use huddle_service::lifecycle::Shutdown;
use huddle_store::{DirectoryStore, EventStore};
use tokio::sync::Semaphore;
use tonic::Request;

use crate::{authorise, metrics::HistoryMetrics};

/// The most time that a call gets, streams once they have caught up aside.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// What every method reads with.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) events: Arc<dyn EventStore>,
    pub(crate) directory: Arc<dyn DirectoryStore>,
    pub(crate) stored: Arc<Stored>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) metrics: HistoryMetrics,
    /// One permit per open stream of events.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) shutdown: Shutdown,
}

impl Reader {
    /// Says who calls and until when.
    pub(crate) fn open<T>(&self, request: &Request<T>) -> Result<Call, CallError> {
        Ok(Call::open(request, &self.verifier, CALL_TIME_MAX)?)
    }

    /// Waits until `team` is stored up to `min_seq` and makes sure that the caller may read the team then. Who may not
    /// read it learns nothing of the wait's outcome.
    pub(crate) async fn admit(&self, call: &Call, team: &TeamId, min_seq: Seq) -> Result<(), CallError> {
        let reached = self.stored.reach(team, min_seq, &call.deadline).await;
        authorise::may_read(&*self.directory, call, team).await?;
        reached
    }
}
