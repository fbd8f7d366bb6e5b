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
/// How long to wait for a store that holds less than was announced before it is read again.
const BEHIND_WAIT: Duration = Duration::from_millis(100);
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

    /// The stored events after `after`, oldest first, read where everything up to `min_seq` is stored. `None` when the
    /// store turns out not to be that far, whatever was announced; the known position is what it holds, then.
    pub(crate) async fn page(&self, after: Seq, min_seq: Seq) -> Result<Option<Page<Event>>, CallError> {
        let fence = self.reader.stored.fence(&self.team, min_seq);
        let page = self.reader.events.list_events(&self.team, after, PAGE_EVENTS_MAX, fence);
        self.unless_behind(patient("store", page).await).await
    }

    /// Whether the store knows the caller as one who may read the team, at `min_seq` or later.
    pub(crate) async fn may_still_read(&self, min_seq: Seq) -> Result<bool, CallError> {
        let Some(user) = &self.user else {
            return Ok(true);
        };
        let fence = self.reader.stored.fence(&self.team, min_seq);
        loop {
            let membership = self.reader.directory.membership(&self.team, user, fence);
            if let Some(membership) = self.unless_behind(patient("store", membership).await).await? {
                return Ok(membership.is_some());
            }
            self.stored(min_seq).await?;
        }
    }

    /// `None` for a read that was made behind its fence: after noting how far the store is, and a pause.
    async fn unless_behind<T>(&self, read: Result<T, CallError>) -> Result<Option<T>, CallError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) => {
                let Some(stored) = error.stored() else { return Err(error) };
                self.reader.stored.went_back(&self.team, stored);
                sleep(BEHIND_WAIT).await;
                Ok(None)
            }
        }
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
