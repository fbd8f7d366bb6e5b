//! What every method works with.

use std::{sync::Arc, time::Duration};

use huddle_auth::Verifier;
use huddle_grpc::{Call, CallError, CallMetrics, Stored};
use huddle_log::Log;
use huddle_store::{DirectoryStore, EventStore};
use tonic::Request;

use crate::turns::Turns;

/// The most time that a call gets.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// What every method works with.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) events: Arc<dyn EventStore>,
    pub(crate) teams: Arc<dyn DirectoryStore>,
    pub(crate) stored: Arc<Stored>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) calls: CallMetrics,
    pub(crate) turns: Turns,
}

impl Directory {
    /// Says who calls and until when.
    pub(crate) fn open<T>(&self, request: &Request<T>) -> Result<Call, CallError> {
        Ok(Call::open(request, &self.verifier, CALL_TIME_MAX)?)
    }
}
