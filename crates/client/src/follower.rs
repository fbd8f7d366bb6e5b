//! Following one team over as many connections as it takes.

use std::time::Duration;

use huddle_domain::{Contiguity, Event, Seq, Step, TeamId, UnixMillis};
use huddle_proto::Refusal;
use tokio::time::{Instant, sleep_until};

use crate::{
    Client, ClientOptions, ConnectError, Disconnect, Incoming, IncomingFrames, Reconnect, RequestError,
    backoff::Backoff,
};

/// A connection that lasted this long was a good one: the next wait starts from the shortest again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

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
#[derive(Debug)]
pub struct Follower {
    options: ClientOptions,
    team: TeamId,
    // None until the first subscription without a cursor has told where "now" is.
    place: Option<Contiguity>,
    backoff: Backoff,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Connected(Link),
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
                    return match self.connect().await {
                        Ok(followed) => Ok(followed),
                        Err(lost) => self.wait(lost, None),
                    };
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

    async fn connect(&mut self) -> Result<Followed, Lost> {
        let (client, frames) = Box::pin(Client::connect(&self.options)).await.map_err(|error| Lost {
            reason: error.to_string(),
            reconnect: error.reconnect(),
            error: error.into(),
        })?;
        let subscribed = client.subscribe(&self.team, self.cursor()).await.map_err(lost_request)?;
        self.place.get_or_insert(Contiguity::after(subscribed.last_seq));
        self.state = State::Connected(Link { client, frames, since: Instant::now(), reconnect_at: None });
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
                if let State::Connected(link) = &mut self.state {
                    link.reconnect_at = Some(Instant::now() + reconnect_in);
                }
                return None;
            }
            Some(Incoming::SubscriptionEnded { team, refusal }) if team == self.team => {
                return Some(self.wait(lost_request(RequestError::Refused(refusal)), None));
            }
            Some(Incoming::Closed(disconnect)) => disconnect,
            None => Disconnect::ClosedHere,
            Some(_) => return None,
        };
        let reconnect_at = match &self.state {
            State::Connected(link) => link.reconnect_at,
            State::Waiting { .. } => None,
        };
        Some(self.wait(lost_connection(disconnect), reconnect_at))
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
        if let State::Connected(link) = &self.state {
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

#[cfg(test)]
mod tests {
    use huddle_proto::gateway::v1::{
        self as proto, ErrorCode, GoAway, Subscribe, client_frame::Request, server_frame::Content,
    };

    use super::*;
    use crate::test_gateway::{Peer, TestGateway, within};

    fn team() -> TeamId {
        TeamId::parse("demo").unwrap()
    }

    async fn subscribed(peer: &mut Peer, last_seq: u64) -> Subscribe {
        let (id, Request::Subscribe(subscribe)) = peer.request().await else { panic!("not a subscribe") };
        peer.reply(id, Content::Subscribed(proto::Subscribed { team: "demo".to_owned(), last_seq })).await;
        subscribe
    }

    /// The next event's position and, before it, how often the flow was lost.
    async fn next_event(follower: &mut Follower) -> (u64, usize) {
        let mut lost = 0;
        loop {
            match within(follower.next()).await.unwrap() {
                Followed::Event(event) => return (event.seq.get(), lost),
                Followed::Disconnected { .. } => lost += 1,
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn a_follower_resumes_with_its_cursor_and_yields_each_event_once() {
        let gateway = TestGateway::start().await;
        let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
        let script = async {
            let mut peer = gateway.welcome().await;
            assert_eq!(subscribed(&mut peer, 5).await.after, Some(3));
            peer.event(4, 3).await;
            peer.event(5, 4).await;
            peer.event(5, 4).await;
            peer.close(4000).await;
            let mut peer = gateway.welcome().await;
            assert_eq!(subscribed(&mut peer, 9).await.after, Some(5));
            peer.event(9, 5).await;
            peer
        };
        let events = async {
            assert_eq!(next_event(&mut follower).await, (4, 0));
            assert_eq!(next_event(&mut follower).await, (5, 0));
            assert_eq!(next_event(&mut follower).await, (9, 1));
        };
        tokio::join!(Box::pin(script), events);
        assert_eq!(follower.cursor(), Some(Seq::new(9)));
    }

    #[tokio::test]
    async fn a_follower_without_a_cursor_resumes_from_where_it_began() {
        let gateway = TestGateway::start().await;
        let mut follower = Follower::new(gateway.options(), team(), None);
        let script = async {
            let mut peer = gateway.welcome().await;
            assert_eq!(subscribed(&mut peer, 7).await.after, None);
            peer.close(4001).await;
            let mut peer = gateway.welcome().await;
            assert_eq!(subscribed(&mut peer, 8).await.after, Some(7));
            peer.event(8, 7).await;
            peer
        };
        tokio::join!(Box::pin(script), async { assert_eq!(next_event(&mut follower).await, (8, 1)) });
    }

    #[tokio::test]
    async fn a_hole_is_never_skipped() {
        let gateway = TestGateway::start().await;
        let mut follower = Follower::new(gateway.options(), team(), Some(Seq::new(3)));
        let script = async {
            let mut peer = gateway.welcome().await;
            subscribed(&mut peer, 6).await;
            peer.event(6, 5).await;
            let mut again = gateway.welcome().await;
            assert_eq!(subscribed(&mut again, 6).await.after, Some(3));
            again.event(5, 3).await;
            again.event(6, 5).await;
            (peer, again)
        };
        let events = async {
            assert_eq!(next_event(&mut follower).await, (5, 1));
            assert_eq!(next_event(&mut follower).await, (6, 0));
        };
        tokio::join!(Box::pin(script), events);
    }

    #[tokio::test]
    async fn a_gateway_that_goes_says_when_to_come_back() {
        let gateway = TestGateway::start().await;
        let mut follower = Follower::new(gateway.options(), team(), None);
        let script = async {
            let mut peer = gateway.welcome().await;
            subscribed(&mut peer, 7).await;
            peer.push(Content::GoAway(GoAway { reconnect_in_ms: 3_600_000 })).await;
            peer.close(1012).await;
        };
        let lost = async {
            loop {
                if let Followed::Disconnected { retry_in, .. } = within(follower.next()).await.unwrap() {
                    return retry_in;
                }
            }
        };
        let ((), retry_in) = tokio::join!(Box::pin(script), lost);
        assert!(retry_in > Duration::from_secs(3_500), "{retry_in:?}");
    }

    #[tokio::test]
    async fn what_another_connection_would_not_mend_is_an_error() {
        let gateway = TestGateway::start().await;
        let mut follower = Follower::new(gateway.options(), team(), None);
        let script = async {
            let mut peer = gateway.welcome().await;
            let (id, _) = peer.request().await;
            let error = proto::Error { code: ErrorCode::NotFound.into(), ..proto::Error::default() };
            peer.reply(id, Content::Error(error)).await;
            peer
        };
        let (_peer, outcome) = tokio::join!(Box::pin(script), within(follower.next()));
        assert!(matches!(outcome, Err(FollowError::Refused(refusal)) if refusal.code == ErrorCode::NotFound));
    }
}
