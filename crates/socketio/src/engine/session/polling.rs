//! Polls and posts of a session. A poll may come in hops, when it has landed elsewhere: each asks again under the same id.

use std::{cell::Cell, time::Duration};

use huddle_websocket::frame;
use tokio::time::{Instant, sleep_until, timeout};

use super::{End, Inner, State as SessionState};
use crate::{
    engine::{Payload, Refusal, Violation, payload::NOOP},
    metrics::Transport,
};

/// How long a post may have to wait for those before it to be handled.
pub(crate) const POST_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of frames that answer one poll, at most: encoded for text they still fit into one answer between gateways.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Packets that answer one poll, at most: the limit of python-engineio, which ends its session at one more.
const ANSWER_PACKETS_MAX: usize = 16;
/// After a hop without an answer, how long the next one may take to come.
pub(super) const HOP_GAP_MAX: Duration = Duration::from_secs(3);
/// How long a post waits for the one before it to be handled, before it has to be tried again.
const POST_WAIT: Duration = Duration::from_secs(2);
/// How long a poll that comes while a WebSocket is probed waits for the end of the upgrade, which then refuses it.
const UPGRADE_WAIT: Duration = Duration::from_millis(100);
/// The packet that closes a session. It, or one that says nothing, can be the last one of a session; none is queued before.
const CLOSE: &[u8] = b"1";

/// The outcome of a poll, or of one hop of it.
#[derive(Debug)]
pub(crate) enum Polled {
    Payload(Payload),
    /// Nothing yet: to be asked again.
    Nothing,
    Refused(Refusal),
}

/// The outcome of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    Taken,
    /// What was posted before is still being handled: to be posted again.
    Busy,
    Refused(Refusal),
}

/// What polling keeps of a session.
#[derive(Default)]
pub(super) struct State {
    open: Cell<Option<Poll>>,
    /// Counts hops, so that one can tell that another has taken its place.
    turn: Cell<u64>,
    /// The poll that was answered last, and the post that was taken last.
    last_poll: Cell<Option<u64>>,
    last_post: Cell<Option<u64>>,
    /// The post that is being taken.
    posting: Cell<Option<u64>>,
    /// The poll that is to be answered now, if only with nothing.
    ended: Cell<Option<u64>>,
    /// Whether a WebSocket is being probed: polls return at once.
    pub(super) is_upgrading: Cell<bool>,
    /// Whether the next answer is the close packet.
    owes_close: Cell<bool>,
}

/// A poll that has not been answered.
#[derive(Clone, Copy)]
struct Poll {
    id: u64,
    /// Between hops: when the next one is overdue.
    lapses: Option<Instant>,
}

/// Ends the session when the poll is dropped before it is answered: the client is gone.
struct Answering<'a> {
    session: &'a Inner,
    id: u64,
    turn: u64,
}

/// Marks the time in which a post is being taken.
struct Posting<'a>(&'a Cell<Option<u64>>);

impl State {
    /// Whether a poll has not been answered.
    pub(super) fn is_open(&self) -> bool {
        self.open.get().is_some()
    }

    pub(super) fn lapses(&self) -> Option<Instant> {
        self.open.get()?.lapses
    }
}

impl Inner {
    /// Answers a poll as soon as there is something to say, or for a hop that it has to be asked again. Dropping the future
    /// ends the session.
    pub(crate) async fn poll(&self, id: u64, hop: Option<Duration>) -> Polled {
        match self.polling.open.get() {
            // The next hop; or the same one again, when nobody receives the answer to the one that still waits.
            Some(poll) if poll.id == id => {}
            Some(_) if self.transport.get() == Transport::Polling => {
                self.end(End::Violation(Violation::PollOverlap));
                return Polled::Refused(Refusal::BadRequest);
            }
            _ if self.polling.last_poll.get() == Some(id) => {
                // The answer has got lost on its way.
                self.end(End::TransportGone);
                return Polled::Refused(Refusal::UnknownSid);
            }
            Some(_) => {}
            None => {
                self.metrics.polls.inc();
            }
        }
        if self.transport.get() != Transport::Polling {
            let was_open = self.polling.open.take().is_some_and(|poll| poll.id == id);
            return if was_open { self.noop() } else { Polled::Refused(Refusal::BadRequest) };
        }
        self.polling.open.set(Some(Poll { id, lapses: None }));
        let turn = self.polling.turn.get() + 1;
        self.polling.turn.set(turn);
        self.kick.notify_waiters();
        let answering = Answering { session: self, id, turn };
        let outbox = self.outbox();
        // Others are answered as soon as the probe comes.
        let is_late = self.polling.is_upgrading.get();
        let noop_due = Instant::now() + if is_late { UPGRADE_WAIT } else { Duration::ZERO };
        let answer = async {
            loop {
                if self.polling.turn.get() != turn {
                    return Polled::Nothing;
                }
                if self.transport.get() != Transport::Polling {
                    return Polled::Refused(Refusal::BadRequest);
                }
                if self.polling.owes_close.take() {
                    self.finish();
                    return Polled::Payload(Payload::encode(self.generation, false, &[frame::text(CLOSE)]));
                }
                let mut frames = outbox.take(self.config.payload_max.min(ANSWER_BYTES_MAX), ANSWER_PACKETS_MAX);
                if let Some(last) = frames.last() {
                    let is_last = |packet: &[u8]| frame::is_text(last) && frame::payload(last) == packet;
                    let (is_close, is_noop) = (is_last(CLOSE), is_last(NOOP));
                    if self.state.get() == SessionState::Lingering && is_close && frames.len() > 1 {
                        // socket.io-client 3 and 4 notice the end first, keep what came with it, and show it to their
                        // application behind the next CONNECT, when it has long been sent again.
                        frames.pop();
                        self.polling.owes_close.set(true);
                    } else if self.state.get() == SessionState::Lingering && (is_close || is_noop) {
                        self.finish();
                    }
                    return Polled::Payload(Payload::encode(self.generation, self.takes_binary, &frames));
                }
                if self.polling.ended.get() == Some(id) {
                    return self.noop();
                }
                let is_upgrading = self.polling.is_upgrading.get();
                if is_upgrading && noop_due <= Instant::now() {
                    return self.noop();
                }
                if !outbox.is_open() {
                    return Polled::Refused(Refusal::UnknownSid);
                }
                tokio::select! {
                    () = outbox.filled() => {}
                    () = self.kick.notified() => {}
                    () = sleep_until(noop_due), if is_upgrading => {}
                }
            }
        };
        let answer = match hop {
            None => answer.await,
            Some(hop) => timeout(hop, answer).await.unwrap_or(Polled::Nothing),
        };
        answering.finish(&answer);
        answer
    }

    fn noop(&self) -> Polled {
        Polled::Payload(self.nothing())
    }

    fn nothing(&self) -> Payload {
        Payload::nothing(self.generation)
    }

    /// Has a poll that is not answered yet end now. Between two hops this is its answer; a hop that waits gives it.
    pub(crate) fn end_poll(&self, id: u64) -> Option<Payload> {
        let poll = self.polling.open.get().filter(|poll| poll.id == id)?;
        if poll.lapses.is_some() {
            self.polling.open.set(None);
            self.wake.notify_one();
            return Some(self.nothing());
        }
        self.polling.ended.set(Some(id));
        self.kick.notify_waiters();
        None
    }

    /// The client that sent the poll is gone. It may be so that the answer is on its way, and gets lost.
    pub(crate) fn cancel_poll(&self, id: u64) {
        let is_open = self.polling.open.get().is_some_and(|poll| poll.id == id);
        let is_last = self.polling.last_poll.get() == Some(id);
        if self.transport.get() == Transport::Polling && (is_open || is_last) {
            self.polling.open.set(None);
            self.end(End::TransportGone);
        }
    }

    /// Takes in what a client has posted, or says that it has to be posted again. A post that comes a second time under
    /// the same id is taken once.
    pub(crate) async fn post(&self, id: u64, payload: &Payload) -> Posted {
        if self.polling.last_post.get() == Some(id) {
            return Posted::Taken;
        }
        if self.was_closed_here() {
            // It has crossed the close packet on its way, and goes nowhere: a refusal would hide from the client what is
            // queued for it.
            return Posted::Taken;
        }
        if self.state.get() != SessionState::Open {
            return Posted::Refused(Refusal::UnknownSid);
        }
        match self.polling.posting.get() {
            // The same again, when nobody receives the answer to the one that still waits.
            Some(posting) if posting == id => return Posted::Busy,
            Some(_) if self.transport.get() == Transport::Polling => return self.broken(Violation::PostOverlap),
            _ => {}
        }
        if self.transport.get() != Transport::Polling {
            return Posted::Refused(Refusal::BadRequest);
        }
        self.polling.posting.set(Some(id));
        let _posting = Posting(&self.polling.posting);
        self.metrics.posts.inc();
        let packets = match payload.decode(self.generation) {
            Ok(packets) => packets,
            Err(violation) => return self.broken(violation),
        };
        if timeout(POST_WAIT, self.inbox.is_drained()).await.is_err() {
            self.is_asked_again();
            return Posted::Busy;
        }
        if self.state.get() != SessionState::Open {
            // Ended while the post waited: nothing of it is taken.
            return Posted::Refused(Refusal::UnknownSid);
        }
        for packet in packets {
            if self.state.get() != SessionState::Open {
                break;
            }
            if let Err(violation) = self.receive(packet) {
                return self.broken(violation);
            }
        }
        self.polling.last_post.set(Some(id));
        Posted::Taken
    }

    fn broken(&self, violation: Violation) -> Posted {
        self.end(End::Violation(violation));
        Posted::Refused(Refusal::BadRequest)
    }
}

impl Answering<'_> {
    fn finish(self, answer: &Polled) {
        let polling = &self.session.polling;
        let is_current = polling.turn.get() == self.turn;
        if is_current && polling.open.get().is_some_and(|poll| poll.id == self.id) {
            polling.open.set(match answer {
                Polled::Nothing => Some(Poll { id: self.id, lapses: Some(Instant::now() + HOP_GAP_MAX) }),
                Polled::Payload(_) | Polled::Refused(_) => None,
            });
            self.session.wake.notify_one();
        }
        if !matches!(answer, Polled::Nothing) {
            polling.last_poll.set(Some(self.id));
        }
        std::mem::forget(self);
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        if self.session.polling.turn.get() == self.turn {
            self.session.cancel_poll(self.id);
        }
    }
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
