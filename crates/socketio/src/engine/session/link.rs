//! The WebSocket of a session, wherever it has landed: from the probe of an upgrade to its end.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use huddle_websocket::{Full, Outbox, frame};
use tokio::time::{Instant, timeout};

use super::{End, Inner, State};
use crate::{
    Config,
    engine::{Message, Packet, Violation, close_code},
    metrics::{Transport, TransportLabel},
};

/// How long a client may take from opening a WebSocket for an upgrade to finishing the upgrade.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// When nobody has asked for this long what a WebSocket elsewhere is to send, it is gone.
const LAPSE: Duration = Duration::from_secs(4);
/// Room for what is sent before the upgrade, besides everything that waits for a poll.
const PROBE_BYTES: usize = 4 * 1024;
const PROBE_FRAMES: usize = 16;
/// Bytes of frames that go to a WebSocket elsewhere in one answer, unless one frame alone is larger.
const TAKEN_BYTES_MAX: usize = 256 * 1024;
/// The bits of a frame's first byte that say what it is, and a close frame's.
const OPCODE: u8 = 0x0f;
const OPCODE_CLOSE: u8 = 0x8;

/// A session's WebSocket, or one that is being probed.
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) outbox: Rc<Outbox>,
    /// Whether the socket has landed on another worker thread or gateway, which asks for what it is to send.
    pub(crate) is_remote: bool,
    phase: Cell<Phase>,
    /// Set while nobody asks for frames of a remote link.
    lapses: Cell<Option<Instant>>,
    /// Counts calls for frames, so that one can tell that another has taken its place.
    turn: Cell<u64>,
    is_fed: Cell<bool>,
    /// Messages taken in from a remote link, and frames handed out to it, since its beginning.
    messages: Cell<u64>,
    frames: Cell<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Opened { until: Instant },
    Probed { until: Instant },
    Active,
}

/// Why a WebSocket cannot be attached to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachRefused {
    /// It has one already, or its client is probing one.
    Taken,
    /// It is over.
    Over,
}

/// The session, or its WebSocket, is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// What a remote link is to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Finished frames, perhaps none, and whether these are the last ones.
    Frames {
        frames: Vec<Bytes>,
        are_last: bool,
    },
    /// Another one asks by now.
    Busy,
    Gone,
}

/// Clears a mark when it is dropped.
struct Marked<'a>(&'a Cell<bool>);

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Link {
    /// An outbox for a WebSocket.
    pub(crate) fn outbox(config: &Config) -> Rc<Outbox> {
        Rc::new(Outbox::new(config.outbox_max + PROBE_BYTES, config.outbox_frames_max + PROBE_FRAMES))
    }

    /// An outbox for a WebSocket whose session lives elsewhere: half of it has room for all that may wait there.
    pub(crate) fn relay_outbox(config: &Config) -> Rc<Outbox> {
        let bytes_max = (config.outbox_max + PROBE_BYTES) * 2;
        Rc::new(Outbox::new(bytes_max, (config.outbox_frames_max + PROBE_FRAMES) * 2))
    }

    fn new(outbox: Rc<Outbox>, is_remote: bool, phase: Phase) -> Rc<Self> {
        Rc::new(Self {
            id: rand::random(),
            outbox,
            is_remote,
            phase: Cell::new(phase),
            lapses: Cell::new(is_remote.then(|| Instant::now() + LAPSE)),
            turn: Cell::new(0),
            is_fed: Cell::new(false),
            messages: Cell::new(0),
            frames: Cell::new(0),
        })
    }

    pub(super) fn is_probing(&self) -> bool {
        !matches!(self.phase.get(), Phase::Active)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let upgrade = match self.phase.get() {
            Phase::Opened { until } | Phase::Probed { until } => Some(until),
            Phase::Active => None,
        };
        [upgrade, self.lapses.get()].into_iter().flatten().min()
    }
}

impl Inner {
    /// The link of a session that begins on a WebSocket, whose outbox is the session's.
    pub(crate) fn begin_link(&self) -> Rc<Link> {
        let link = Link::new(self.outbox(), false, Phase::Active);
        self.link.replace(Some(Rc::clone(&link)));
        link
    }

    /// Attaches a WebSocket that a client has opened to upgrade its session.
    pub(crate) fn attach(&self, outbox: Rc<Outbox>, is_remote: bool) -> Result<Rc<Link>, AttachRefused> {
        if self.state.get() != State::Open {
            return Err(AttachRefused::Over);
        }
        if self.transport.get() != Transport::Polling || self.link.borrow().is_some() {
            return Err(AttachRefused::Taken);
        }
        let link = Link::new(outbox, is_remote, Phase::Opened { until: Instant::now() + UPGRADE_TIMEOUT });
        self.link.replace(Some(Rc::clone(&link)));
        self.wake.notify_one();
        Ok(link)
    }

    /// The link with this id.
    pub(crate) fn link(&self, id: u64) -> Option<Rc<Link>> {
        self.link.borrow().as_ref().filter(|link| link.id == id).map(Rc::clone)
    }

    /// Takes in a WebSocket message; waits while the application has too much to handle. A dropped future has taken the
    /// message in or has not.
    pub(crate) async fn link_message(&self, link: &Rc<Link>, message: &Message) -> Result<(), Gone> {
        if self.link(link.id).is_none() || self.state.get() != State::Open {
            return Err(Gone);
        }
        let packet = match message {
            Message::Text(text) => Packet::from_text(self.generation, text),
            Message::Binary(bytes) => Packet::from_binary(self.generation, bytes),
        };
        match link.phase.get() {
            Phase::Active => {
                if let Ok(Packet::Message(_)) = packet {
                    self.inbox.has_room().await;
                }
                if self.state.get() != State::Open {
                    return Err(Gone);
                }
                packet.and_then(|packet| self.receive(packet)).map_err(|violation| {
                    self.end(End::Violation(violation));
                    Gone
                })
            }
            phase => self.probe(link, phase, packet.ok()),
        }
    }

    /// A packet on a WebSocket that is not the session's yet.
    fn probe(&self, link: &Rc<Link>, phase: Phase, packet: Option<Packet>) -> Result<(), Gone> {
        match (phase, packet) {
            (Phase::Opened { until } | Phase::Probed { until }, Some(Packet::Ping(content))) if content == "probe" => {
                link.phase.set(Phase::Probed { until });
                if link.outbox.push(frame::text(b"3probe")) == Err(Full) {
                    self.link_closed(link);
                    return Err(Gone);
                }
                self.polling.is_upgrading.set(true);
                self.kick.notify_waiters();
                Ok(())
            }
            (Phase::Probed { .. }, Some(Packet::Upgrade)) => {
                self.upgrade(link);
                Ok(())
            }
            _ => {
                self.link_closed(link);
                Err(Gone)
            }
        }
    }

    /// From here on the session's packets go over the link, what waited for a poll first.
    fn upgrade(&self, link: &Rc<Link>) {
        let polled = self.outbox.replace(Rc::clone(&link.outbox));
        link.phase.set(Phase::Active);
        self.polling.is_upgrading.set(false);
        self.transport.set(Transport::WebSocket);
        self.metrics.sessions.get_or_create(&TransportLabel { transport: Transport::Polling }).dec();
        self.metrics.sessions.get_or_create(&TransportLabel { transport: Transport::WebSocket }).inc();
        self.metrics.upgrades.inc();
        let mut waiting = polled.take(usize::MAX, usize::MAX).into_iter();
        if waiting.any(|frame| link.outbox.push(frame) == Err(Full)) {
            self.end(End::Abandoned);
        }
        polled.abandon(frame::text(b"6"));
        self.wake.notify_one();
    }

    /// The WebSocket is gone: with it the session, unless it was only being probed.
    pub(crate) fn link_closed(&self, link: &Rc<Link>) {
        if self.link(link.id).is_none() {
            return;
        }
        if link.is_probing() {
            self.link.replace(None);
            self.polling.is_upgrading.set(false);
            link.outbox.abandon(frame::close(close_code::NORMAL, ""));
            self.kick.notify_waiters();
        } else {
            self.end(End::TransportGone);
        }
    }

    /// The link is about to be cut off where it has landed.
    pub(crate) fn send_away(&self, link: &Rc<Link>) {
        if link.is_probing() {
            // The session goes on by polling.
            self.link_closed(link);
        } else {
            self.is_sent_away.set(true);
            self.wake.notify_one();
        }
    }

    /// The client sent something over the WebSocket that no message can be made of.
    pub(crate) fn link_broken(&self, link: &Rc<Link>) {
        if link.is_probing() {
            self.link_closed(link);
        } else if self.link(link.id).is_some() {
            self.end(End::Violation(Violation::WebSocketMessage));
        }
    }

    /// Takes in messages of a remote link, the first of which is number `first` since the link's beginning; those that have
    /// been taken in before are skipped. Returns the number of the next one, after `patience` at the latest.
    pub(crate) async fn feed(
        &self,
        link: &Rc<Link>,
        first: u64,
        messages: &[Message],
        patience: Duration,
    ) -> Result<u64, Gone> {
        if link.is_fed.replace(true) {
            return Ok(link.messages.get());
        }
        let _fed = Marked(&link.is_fed);
        let taken = link.messages.get();
        if first > taken {
            // Something has got lost on its way.
            self.link_closed(link);
            return Err(Gone);
        }
        let known = usize::try_from(taken - first).unwrap_or(usize::MAX);
        let feeding = async {
            for message in messages.iter().skip(known) {
                self.link_message(link, message).await?;
                link.messages.set(link.messages.get() + 1);
            }
            Ok(())
        };
        match timeout(patience, feeding).await {
            Ok(Err(gone)) => Err(gone),
            Ok(Ok(())) => Ok(link.messages.get()),
            Err(_) => {
                self.is_asked_again();
                Ok(link.messages.get())
            }
        }
    }

    /// What a remote link is to send, as soon as there is something, or nothing when the hop is over. `received` says how
    /// many frames it has got so far. With `has_room` false only the end is told, and at once.
    pub(crate) async fn take(&self, link: &Rc<Link>, received: u64, has_room: bool, hop: Duration) -> Taken {
        // One that still waits gives way: nobody receives its answer any more.
        let turn = link.turn.get() + 1;
        link.turn.set(turn);
        self.kick.notify_waiters();
        if received != link.frames.get() {
            // An answer has got lost on its way.
            self.link_closed(link);
            return Taken::Gone;
        }
        link.lapses.set(None);
        // Also when the future is dropped: nobody asks any more.
        let _asked = Asked { session: self, link, turn };
        if has_room {
            let superseded = async {
                while link.turn.get() == turn {
                    self.kick.notified().await;
                }
            };
            let waiting = async {
                tokio::select! {
                    () = link.outbox.filled() => {}
                    () = superseded => {}
                }
            };
            // Either way the outbox is looked at.
            let _ = timeout(hop, waiting).await;
        }
        if link.turn.get() != turn {
            return Taken::Busy;
        }
        let frames =
            if has_room || !link.outbox.is_open() { link.outbox.take(TAKEN_BYTES_MAX, usize::MAX) } else { Vec::new() };
        link.frames.set(link.frames.get() + frames.len() as u64);
        let is_closed =
            frames.last().is_some_and(|frame| frame.first().is_some_and(|byte| byte & OPCODE == OPCODE_CLOSE));
        let are_last = is_closed || (frames.is_empty() && !link.outbox.is_open());
        if are_last && self.state.get() == State::Lingering {
            self.finish();
        }
        Taken::Frames { frames, are_last }
    }
}

/// Starts the clock of a remote link when nobody asks any more what it is to send.
struct Asked<'a> {
    session: &'a Inner,
    link: &'a Link,
    turn: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.link.turn.get() == self.turn {
            self.link.lapses.set(Some(Instant::now() + LAPSE));
            self.session.wake.notify_one();
        }
    }
}
