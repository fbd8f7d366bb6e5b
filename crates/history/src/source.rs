//! What a stream of events asks of store and log, each with the patience that a stream has.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Event, Seq, TeamId, UserId};
use huddle_grpc::CallError;
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_service::backoff::Backoff;
use huddle_store::Page;
use tokio::time::{Instant, sleep, timeout};

use crate::reader::Reader;

/// Events read from the store at a time: what one stream holds in memory.
const PAGE_EVENTS_MAX: u32 = 200;
/// How long a stream waits for the store or the log to move before it ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// First wait before asking the log again, and the longest.
const LOG_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// One team, as one caller reads it.
pub(crate) struct Source {
    pub(crate) reader: Arc<Reader>,
    pub(crate) team: TeamId,
    /// The calling user; `None` for a service.
    pub(crate) user: Option<UserId>,
}

impl Source {
    /// How far the team is known to be stored.
    pub(crate) fn known_stored(&self) -> Seq {
        self.reader.stored.known(&self.team)
    }

    /// Waits until the team is stored up to `seq`.
    pub(crate) async fn stored(&self, seq: Seq) -> Result<(), CallError> {
        self.reader.stored.reach_until(&self.team, seq, Instant::now() + PATIENCE).await
    }

    /// The stored events after `after`, oldest first.
    pub(crate) async fn page(&self, after: Seq) -> Result<Page<Event>, CallError> {
        patient("store", self.reader.events.list_events(&self.team, after, PAGE_EVENTS_MAX)).await
    }

    /// Whether the store knows the caller as one who may read the team.
    pub(crate) async fn may_still_read(&self) -> Result<bool, CallError> {
        let Some(user) = &self.user else {
            return Ok(true);
        };
        Ok(patient("store", self.reader.directory.membership(&self.team, user)).await?.is_some())
    }

    /// How far the team goes now. The log may be out of reach for a moment: that is why a feed is interrupted.
    pub(crate) async fn fence(&self) -> Result<Seq, CallError> {
        let mut backoff = Backoff::new(LOG_RETRY.0, LOG_RETRY.1);
        let asked = async {
            loop {
                match self.reader.log.last_seq(&self.team).await {
                    Err(error) if error.is_retryable() => {
                        tracing::debug!(%error, "the log is asked again");
                        let delay = backoff.next_delay(&mut rand::rng());
                        sleep(delay).await;
                    }
                    answer => return answer,
                }
            }
        };
        // When the log holds none of the team's events (any longer), all of them are stored.
        Ok(patient("log", asked).await?.unwrap_or_else(|| self.known_stored()))
    }
}

/// Waits for `work` on `part`, but no longer than a stream's patience lasts.
async fn patient<T, E: Into<CallError>>(
    part: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, CallError> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Refusal::new(ErrorCode::Unavailable, format!("the {part} does not answer; retry")).into()),
    }
}
