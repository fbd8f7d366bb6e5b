//! Following one team over as many connections as it takes.

mod paging;
#[cfg(test)]
mod tests;

use std::{mem, time::Duration};

use huddle_domain::{Contiguity, Event, Seq, Step, TeamId, UnixMillis};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::time::{Instant, sleep_until};

use crate::{
    Client, ClientOptions, ConnectError, Disconnect, Incoming, IncomingFrames, ListedEvent, Reconnect, RequestError,
    backoff::Backoff,
};
use paging::{Paged, Paging};

/// A connection that lasted this long was a good one: the next wait starts from the shortest again.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// A reader that is too slow for its subscription twice within this time reads pages before it subscribes again.
const SLOW_AGAIN_WITHIN: Duration = Duration::from_mins(1);

/// What a follower sees.
#[derive(Debug, Clone)]
pub enum Followed {
    /// The subscription is in force, for the first time or again. The team's last event is at `last_seq`.
    Connected {
        /// The position of the team's last event at that moment; 0 = none is known.
        last_seq: Seq,
    },
    /// The next event: each once, in order, none left out.
    Event(Event),
    /// The next event, of a kind that this version does not know.
    UnknownEvent {
        /// Its position.
        seq: Seq,
    },
    /// What comes from here on is live, until the next [`Followed::Disconnected`].
    CaughtUp {
        /// Everything up to this position has been yielded.
        seq: Seq,
    },
    /// The token expires soon; nothing is done about it here.
    TokenExpiring {
        /// When the connection will be closed.
        time: UnixMillis,
    },
    /// There is no flow just now; the follower comes back by itself.
    Disconnected {
        /// Why, for people. Holds no secrets.
        reason: String,
        /// When the next attempt begins.
        retry_in: Duration,
    },
}

/// Why a follower cannot go on by itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FollowError {
    /// There is no connection to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended in a way that another one would not mend.
    #[error(transparent)]
    Disconnected(Disconnect),
    /// The gateway refused the subscription, or ended it for good.
    #[error("the team cannot be followed: {0}")]
    Refused(Refusal),
}

/// Follows a team: reconnects, subscribes again from its own cursor, checks that nothing is missing and drops repeats.
///
/// However slowly [`next`](Self::next) is called, nothing is lost. A gateway closes the connection of a reader that is too
/// slow for the team. When that has happened twice within a minute, the follower asks for one page after the other, as they
/// are taken, until there are no more; then it subscribes again.
#[derive(Debug)]
pub struct Follower {
    options: ClientOptions,
    team: TeamId,
    // None until the first subscription without a cursor has told where "now" is.
    place: Option<Contiguity>,
    backoff: Backoff,
    /// When the reader was too slow for its subscription the last time.
    slow_at: Option<Instant>,
    /// Whether pages are read before the next subscription.
    reads_pages: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Paging(Paging),
    Connected(Link),
}

impl State {
    fn link(&mut self) -> Option<&mut Link> {
        match self {
            Self::Waiting { .. } => None,
            Self::Paging(paging) => Some(&mut paging.link),
            Self::Connected(link) => Some(link),
        }
    }
}

#[derive(Debug)]
struct Link {
    // Keeps the connection open.
    client: Client,
    frames: IncomingFrames,
    since: Instant,
    // When the gateway wants the client back, once it has said that it goes.
    reconnect_at: Option<Instant>,
}

/// Why there is no flow, and when to try again.
struct Lost {
    reason: String,
    reconnect: Reconnect,
    error: FollowError,
}

impl Follower {
    /// Follows `team` from the cursor `after` ([`Seq::ZERO`] = from its first event); without one, from now on. Nothing
    /// happens before the first [`next`](Self::next).
    pub fn new(options: ClientOptions, team: TeamId, after: Option<Seq>) -> Self {
        Self {
            options,
            team,
            place: after.map(Contiguity::after),
            backoff: Backoff::default(),
            slow_at: None,
            reads_pages: false,
            state: State::Waiting { until: Instant::now() },
        }
    }

    /// The cursor: everything up to it has been yielded. `None` while it is not known where "now" is.
    pub fn cursor(&self) -> Option<Seq> {
        self.place.map(|place| place.last())
    }

    /// The next thing that happens. After an error the next call starts anew, from the cursor.
    ///
    /// # Cancel safety
    /// Safe: no event is lost or repeated when the future is dropped; an attempt to connect starts again.
    pub async fn next(&mut self) -> Result<Followed, FollowError> {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    sleep_until(*until).await;
                    match self.connect().await {
                        Ok(Some(followed)) => return Ok(followed),
                        Ok(None) => {}
                        Err(lost) => return self.wait(lost, None),
                    }
                }
                State::Paging(paging) => {
                    // A follower without a cursor reads no pages.
                    let after = self.place.map_or(Seq::ZERO, |place| place.last());
                    let outcome = match paging.next(&self.team, after).await {
                        Paged::Event(ListedEvent::Event(event)) => {
                            self.step(event.seq, event.prev_seq, || Followed::Event(event))
                        }
                        Paged::Event(ListedEvent::Unknown { seq, prev_seq }) => {
                            self.step(seq, prev_seq, || Followed::UnknownEvent { seq })
                        }
                        Paged::Frame(frame) => self.take(frame),
                        Paged::Failed(error) => Some(self.wait(lost_request(error), None)),
                        Paged::End => Some(self.go_live().await),
                    };
                    if let Some(outcome) = outcome {
                        return outcome;
                    }
                }
                State::Connected(link) => {
                    let frame = link.frames.next().await;
                    if let Some(outcome) = self.take(frame) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Connects, and subscribes unless pages are read before that.
    async fn connect(&mut self) -> Result<Option<Followed>, Lost> {
        let (client, frames) = Box::pin(Client::connect(&self.options)).await.map_err(|error| Lost {
            reason: error.to_string(),
            reconnect: error.reconnect(),
            error: error.into(),
        })?;
        let link = Link { client, frames, since: Instant::now(), reconnect_at: None };
        if self.reads_pages && self.place.is_some() {
            self.state = State::Paging(Paging::new(link));
            return Ok(None);
        }
        self.subscribe(link).await.map(Some)
    }

    /// Subscribes once all pages have been taken. A dropped future gives the connection up.
    async fn go_live(&mut self) -> Result<Followed, FollowError> {
        match mem::replace(&mut self.state, State::Waiting { until: Instant::now() }) {
            State::Paging(Paging { link, .. }) => match self.subscribe(link).await {
                Ok(followed) => Ok(followed),
                Err(lost) => self.wait(lost, None),
            },
            // Only who reads pages comes here.
            State::Waiting { .. } | State::Connected(_) => unreachable!("no pages are read"),
        }
    }

    async fn subscribe(&mut self, link: Link) -> Result<Followed, Lost> {
        let subscribed = link.client.subscribe(&self.team, self.cursor()).await.map_err(lost_request)?;
        self.place.get_or_insert(Contiguity::after(subscribed.last_seq));
        self.reads_pages = false;
        self.state = State::Connected(link);
        Ok(Followed::Connected { last_seq: subscribed.last_seq })
    }

    /// What `frame` means to the follower's user; `None` when nothing.
    fn take(&mut self, frame: Option<Incoming>) -> Option<Result<Followed, FollowError>> {
        let disconnect = match frame {
            Some(Incoming::Event(event)) if event.team == self.team => {
                return self.step(event.seq, event.prev_seq, || Followed::Event(event));
            }
            Some(Incoming::UnknownEvent { team, seq, prev_seq }) if team == self.team => {
                return self.step(seq, prev_seq, || Followed::UnknownEvent { seq });
            }
            Some(Incoming::CaughtUp { team, seq }) if team == self.team => {
                let place = self.place.get_or_insert(Contiguity::after(seq));
                place.advance(seq);
                return Some(Ok(Followed::CaughtUp { seq }));
            }
            Some(Incoming::TokenExpiring { time }) => return Some(Ok(Followed::TokenExpiring { time })),
            Some(Incoming::GoAway { reconnect_in }) => {
                if let Some(link) = self.state.link() {
                    link.reconnect_at = Some(Instant::now() + reconnect_in);
                }
                return None;
            }
            Some(Incoming::SubscriptionEnded { team, refusal }) if team == self.team => {
                if refusal.code == ErrorCode::Overloaded {
                    self.was_slow();
                }
                return Some(self.wait(lost_request(RequestError::Refused(refusal)), None));
            }
            Some(Incoming::Closed(disconnect)) => disconnect,
            None => Disconnect::ClosedHere,
            Some(_) => return None,
        };
        if disconnect.is_of_slow_reader() {
            self.was_slow();
        }
        let reconnect_at = self.state.link().and_then(|link| link.reconnect_at);
        Some(self.wait(lost_connection(disconnect), reconnect_at))
    }

    fn was_slow(&mut self) {
        let now = Instant::now();
        let before = self.slow_at.replace(now);
        if before.is_some_and(|before| now.duration_since(before) < SLOW_AGAIN_WITHIN) {
            self.reads_pages = true;
        }
    }

    fn step(
        &mut self,
        seq: Seq,
        prev_seq: Seq,
        followed: impl FnOnce() -> Followed,
    ) -> Option<Result<Followed, FollowError>> {
        let place = self.place.get_or_insert(Contiguity::after(prev_seq));
        match place.judge_at(seq, prev_seq) {
            Step::Seen => None,
            Step::Next => {
                place.advance(seq);
                self.backoff.reset();
                Some(Ok(followed()))
            }
            Step::Gap { after } => {
                let problem = format!("events are missing between {after} and {seq}");
                let lost = Lost {
                    reason: problem.clone(),
                    reconnect: Reconnect::AfterWait,
                    error: FollowError::Disconnected(Disconnect::Protocol { problem }),
                };
                Some(self.wait(lost, None))
            }
        }
    }

    /// Gives the connection up and waits for the next attempt, until `reconnect_at` where the gateway said so.
    fn wait(&mut self, lost: Lost, reconnect_at: Option<Instant>) -> Result<Followed, FollowError> {
        let now = Instant::now();
        if let Some(link) = self.state.link() {
            tracing::debug!(user = %link.client.welcome().user, reason = %lost.reason, "flow lost");
            if now.duration_since(link.since) >= STABLE_AFTER {
                self.backoff.reset();
            }
        }
        self.state = State::Waiting { until: now };
        let Some(wait) = self.backoff.wait(lost.reconnect) else { return Err(lost.error) };
        let retry_in = reconnect_at.map_or(wait, |at| at.duration_since(now));
        self.state = State::Waiting { until: now + retry_in };
        Ok(Followed::Disconnected { reason: lost.reason, retry_in })
    }
}

fn lost_connection(disconnect: Disconnect) -> Lost {
    Lost {
        reason: disconnect.to_string(),
        reconnect: disconnect.reconnect(),
        error: FollowError::Disconnected(disconnect),
    }
}

fn lost_request(error: RequestError) -> Lost {
    match error {
        RequestError::Disconnected(disconnect) => lost_connection(disconnect),
        RequestError::Refused(refusal) => Lost {
            reason: refusal.to_string(),
            reconnect: if refusal.code.is_retryable() { Reconnect::AfterWait } else { Reconnect::Never },
            error: FollowError::Refused(refusal),
        },
        RequestError::TimedOut(_) => Lost {
            reason: error.to_string(),
            reconnect: Reconnect::AfterWait,
            error: FollowError::Disconnected(Disconnect::Silent),
        },
        RequestError::UnexpectedReply => lost_connection(Disconnect::Protocol { problem: error.to_string() }),
    }
}
