//! Finds what a live feed lost without a sign: while a team is quiet, its last position is asked for now and then.
//!
//! An event that is lost between the log and this gateway shows at the next one, by its `prev_seq`. When nothing follows,
//! nothing would show, and the last event may be what removes a member.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Seq, TeamId};
use huddle_log::LogError;
use rand::RngExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::Relay;

/// How long a feed is quiet before it asks, at least and at most: after its last event, and between two looks.
const QUIET_MIN: Duration = Duration::from_secs(15);
const QUIET_MAX: Duration = Duration::from_secs(25);
/// How long an event may be on its way before it is missed.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// How long until a look that had no answer is repeated.
const NO_ANSWER_PAUSE: Duration = Duration::from_secs(5);

/// On its own, so that a feed that is busy keeps no other one from its turn.
type Question = AbortOnDropHandle<Result<Option<Seq>, LogError>>;

/// One feed's looks at the log.
pub(super) struct Recheck {
    due: Instant,
    /// The feed's position when the present wait began.
    position: Seq,
    /// A position that the log had at the last look, and that the feed was short of.
    missed: Option<Seq>,
    asking: Option<Question>,
}

impl Recheck {
    pub(super) fn new(position: Seq) -> Self {
        Self { due: Instant::now() + quiet(), position, missed: None, asking: None }
    }

    /// Waits until the feed, which is at `position`, has missed something for certain. Cancel safe: called again after each
    /// event, it waits anew.
    pub(super) async fn missed(&mut self, relay: &Arc<Relay>, team: &TeamId, position: Seq) {
        if position > self.position && self.asking.is_none() {
            // Events come, and each one would show a hole before it.
            self.missed = None;
            self.wait(position, quiet());
        }
        loop {
            if let Some(question) = &mut self.asking {
                let answer = question.await;
                self.asking = None;
                match answer {
                    Ok(Ok(last)) if self.judge(last, position) => return,
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) | Err(_) => self.wait(position, NO_ANSWER_PAUSE),
                }
            }
            sleep_until(self.due).await;
            self.asking = Some(ask(relay, team));
        }
    }

    fn judge(&mut self, last: Option<Seq>, position: Seq) -> bool {
        let was_missed = self.missed.is_some_and(|missed| missed > position);
        self.missed = last.filter(|last| *last > position);
        let (is_missed, pause) = match self.missed {
            Some(_) if was_missed => (true, quiet()),
            Some(_) => (false, ON_ITS_WAY),
            None => (false, quiet()),
        };
        if is_missed {
            self.missed = None;
        }
        self.wait(position, pause);
        is_missed
    }

    fn wait(&mut self, position: Seq, pause: Duration) {
        (self.position, self.due) = (position, Instant::now() + pause);
    }
}

fn ask(relay: &Arc<Relay>, team: &TeamId) -> Question {
    let (relay, team) = (Arc::clone(relay), team.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        // The semaphore is never closed.
        let _permit = relay.rechecks.acquire().await;
        relay.log.last_seq(&team).await
    }))
}

fn quiet() -> Duration {
    rand::rng().random_range(QUIET_MIN..=QUIET_MAX)
}
