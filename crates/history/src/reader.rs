//! What every method reads with, and the way from a request to the right to read.

use std::{sync::Arc, time::Duration};

use huddle_auth::Verifier;
use huddle_domain::{Seq, TeamId};
use huddle_grpc::{Call, CallError, Stored};
use huddle_log::Log;
use huddle_service::lifecycle::Shutdown;
use huddle_store::{DirectoryStore, EventStore, Fence, StoreError};
use tokio::sync::Semaphore;
use tonic::Request;

use crate::{authorise, metrics::HistoryMetrics};

/// The most time that a call gets, streams once they have caught up aside.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(10);

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

    /// Does `read` of `team` where the store holds everything up to `min_seq` and the caller may read the team then; `read`
    /// makes its reads with the fence that it is given. Who may not read the team learns nothing of how far it is stored.
    pub(crate) async fn read<T, F>(
        &self,
        call: &Call,
        team: &TeamId,
        min_seq: Seq,
        read: impl Fn(Option<Fence>) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let read = &read;
        let admitted = |fence| async move {
            authorise::may_read(&*self.directory, call, team, fence).await?;
            read(fence).await.map_err(CallError::from)
        };
        let done = self.stored.read(team, min_seq, &call.deadline, admitted).await;
        if done.as_ref().is_err_and(|error| error.stored().is_some()) {
            self.admit(call, team).await?;
        }
        done
    }

    /// Makes sure that the caller may read `team`, as far as it is stored.
    pub(crate) async fn admit(&self, call: &Call, team: &TeamId) -> Result<(), CallError> {
        authorise::may_read(&*self.directory, call, team, None).await
    }
}
