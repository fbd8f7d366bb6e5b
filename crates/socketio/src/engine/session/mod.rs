//! One session: its state, its heartbeat and its end. It belongs to one worker thread; no locks.

mod driver;
mod inbox;
mod link;
mod polling;

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use huddle_websocket::{Full, Outbox, frame};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use tokio::{sync::Notify, time::Instant};

use self::{
    inbox::{Inbox, Incoming},
    polling::HOP_GAP_MAX,
};
use super::{MESSAGE_V3, Message, Packet, Secret, Sessions, Violation, close_code};
use crate::{
    Config, Generation, Handshake, SocketIoMetrics,
    metrics::{ReasonLabel, Transport, TransportLabel},
};

pub(crate) use self::{
    link::{AttachRefused, Gone, Link, Taken},
    polling::{POST_PATIENCE, Polled, Posted},
};

/// How long a session that was closed behind what is queued waits to hand it out.
const LINGER: Duration = Duration::from_secs(10);
/// How long a session that its client has closed waits for a poll that the close packet has overtaken.
const LINGER_CLOSED: Duration = Duration::from_secs(1);

/// A session, as the application on top holds it. Clones are the same session.
#[derive(Clone)]
pub struct Session(pub(crate) Rc<Inner>);

/// A session's state.
pub(crate) struct Inner {
    pub(crate) generation: Generation,
    pub(crate) handshake: Rc<Handshake>,
    /// Whether a client of Engine.IO 3 takes binary payloads.
    takes_binary: bool,
    secret: Secret,
    sessions: Weak<Sessions>,
    config: Arc<Config>,
    metrics: SocketIoMetrics,
    /// What is on its way to the client over the present transport.
    outbox: RefCell<Rc<Outbox>>,
    transport: Cell<Transport>,
    state: Cell<State>,
    /// How long it lingers, once it does.
    linger: Cell<Duration>,
    heartbeat: Cell<Heartbeat>,
    inbox: Inbox,
    /// Until when somebody who could not hand in everything may take to come again with the rest.
    blocked_until: Cell<Option<Instant>>,
    /// Whether the application is handling something.
    is_handling: Cell<bool>,
    polling: polling::State,
    /// The WebSocket that the session uses, or that its client is probing.
    link: RefCell<Option<Rc<Link>>>,
    /// Whether the application is to be told that its client is cut off soon.
    is_sent_away: Cell<bool>,
    /// Wakes the driver: something has come in, a deadline has moved, or the session has ended.
    wake: Notify,
    /// Wakes what waits for the session's end, and a poll that is to return empty.
    kick: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The client has gone; what it had sent before is still handed to the application.
    Draining,
    /// Over for the application; what is queued is still handed out.
    Lingering,
    Over,
}

#[derive(Debug, Clone, Copy)]
enum Heartbeat {
    /// The server pings next (Engine.IO 4).
    PingDue(Instant),
    /// The session ends unless the client has answered by then, or pinged by then (Engine.IO 3).
    Deadline(Instant),
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By the application, behind what is queued.
    Closed,
    /// By the application, dropping what is queued.
    Abandoned,
    /// By the client's close packet.
    ClientClosed,
    /// The client's connection has gone.
    TransportGone,
    /// A deadline has passed.
    Expired,
    /// The application has panicked.
    Failed,
    Violation(Violation),
}

/// What a new session is made of.
pub(crate) struct Parts {
    pub(crate) sid: String,
    pub(crate) secret: Secret,
    pub(crate) handshake: Rc<Handshake>,
    pub(crate) takes_binary: bool,
    pub(crate) transport: Transport,
    pub(crate) outbox: Rc<Outbox>,
    pub(crate) sessions: Weak<Sessions>,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: SocketIoMetrics,
}

/// The content of an open packet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    sid: &'a str,
    upgrades: &'static [&'static str],
    ping_interval: u128,
    ping_timeout: u128,
    max_payload: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The id is a secret.
        f.debug_struct("Session")
            .field("handshake", &self.0.handshake)
            .field("state", &self.0.state)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// How the session was opened.
    pub fn handshake(&self) -> &Rc<Handshake> {
        &self.0.handshake
    }

    /// The generation that the client speaks.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// Queues a message. Once the session is over it is dropped silently.
    pub fn send(&self, message: &Message) -> Result<(), Full> {
        self.send_frame(match message {
            Message::Text(text) => frame::text(&[b"4", &text[..]].concat()),
            Message::Binary(bytes) if self.0.generation == Generation::V3 => {
                frame::binary(&[&[MESSAGE_V3][..], bytes].concat())
            }
            Message::Binary(bytes) => frame::binary(bytes),
        })
    }

    /// Queues a finished WebSocket frame that holds a message packet of the session's generation.
    pub(crate) fn send_frame(&self, frame: Bytes) -> Result<(), Full> {
        if self.is_open() { self.0.outbox().push(frame) } else { Ok(()) }
    }

    /// Waits until at most half of what may wait for the client does, or until the session is over. Cancel safe.
    pub async fn has_room(&self) {
        loop {
            let outbox = self.0.outbox();
            outbox.has_room().await;
            // An upgrade puts another outbox in its place.
            if !self.is_open() || Rc::ptr_eq(&outbox, &self.0.outbox()) {
                return;
            }
        }
    }

    /// Whether the session is open, as far as is known.
    pub fn is_open(&self) -> bool {
        self.0.state.get() == State::Open
    }

    /// Whether the application is handed nothing more. The client may have gone long before.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.0.state.get(), State::Open | State::Draining)
    }

    /// Ends the session behind what is queued.
    pub fn close(&self) {
        self.0.end(End::Closed);
    }

    /// Drops what is queued and ends the session: for a reader that is too slow.
    pub fn abandon(&self) {
        self.0.end(End::Abandoned);
    }

    /// Has [`Handler::deadline`](super::Handler::deadline) asked again.
    pub(crate) fn deadline_has_moved(&self) {
        self.0.wake.notify_one();
    }
}

impl Inner {
    /// A new session, whose outbox holds the open packet.
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let Parts { sid, secret, handshake, takes_binary, transport, outbox, sessions, config, metrics } = parts;
        let open = Open {
            sid: &sid,
            upgrades: if transport == Transport::Polling { &["websocket"] } else { &[] },
            ping_interval: config.ping_interval.as_millis(),
            ping_timeout: config.ping_timeout.as_millis(),
            max_payload: config.payload_max,
        };
        // Texts and numbers always have a JSON form, and a new outbox has room.
        let open = serde_json::to_vec(&open).unwrap_or_default();
        let _ = outbox.push(frame::text(&[b"0", &open[..]].concat()));
        let now = Instant::now();
        let heartbeat = match handshake.generation {
            Generation::V4 => Heartbeat::PingDue(now + config.ping_interval),
            Generation::V3 => Heartbeat::Deadline(now + config.ping_interval + config.ping_timeout),
        };
        metrics.handshakes.get_or_create(&TransportLabel { transport }).inc();
        metrics.sessions.get_or_create(&TransportLabel { transport }).inc();
        Rc::new(Self {
            generation: handshake.generation,
            handshake,
            takes_binary,
            secret,
            sessions,
            inbox: Inbox::new(config.payload_max),
            config,
            metrics,
            outbox: RefCell::new(outbox),
            transport: Cell::new(transport),
            state: Cell::new(State::Open),
            linger: Cell::new(LINGER),
            heartbeat: Cell::new(heartbeat),
            blocked_until: Cell::new(None),
            is_handling: Cell::new(false),
            polling: polling::State::default(),
            link: RefCell::new(None),
            is_sent_away: Cell::new(false),
            wake: Notify::new(),
            kick: Notify::new(),
        })
    }

    /// Whether a request with `token` may speak for the session: it must have the handshake's, or none as the handshake.
    pub(crate) fn is_bound_to(&self, token: Option<&str>) -> bool {
        match (&self.handshake.token, token) {
            (None, None) => true,
            (Some(bound), Some(token)) => bound.as_bytes().ct_eq(token.as_bytes()).into(),
            _ => false,
        }
    }

    /// Ends the session if its heartbeat is overdue.
    pub(crate) fn expire(&self) {
        if let Heartbeat::Deadline(deadline) = self.heartbeat.get()
            && Instant::now() >= deadline
        {
            self.expired(deadline);
        }
    }

    /// Whether the client's requests still find the session.
    pub(crate) fn is_reachable(&self) -> bool {
        matches!(self.state.get(), State::Open | State::Lingering)
    }

    /// Whether the application has closed the session, and its client does not know that yet.
    fn was_closed_here(&self) -> bool {
        self.state.get() == State::Lingering && self.linger.get() == LINGER
    }

    /// Ends the session. The first end counts.
    pub(crate) fn end(&self, end: End) {
        match (self.state.get(), end) {
            (State::Open, _) => {}
            (State::Lingering, End::Closed | End::ClientClosed)
            | (State::Draining, End::ClientClosed | End::TransportGone)
            | (State::Over, _) => return,
            (State::Lingering | State::Draining, _) => return self.finish(),
        }
        tracing::debug!(?end, peer = ?self.handshake.peer, "session ended");
        match end {
            End::Violation(violation) => {
                self.metrics.protocol_errors.get_or_create(&ReasonLabel { reason: violation.as_str() }).inc();
            }
            End::Expired => {
                self.metrics.expired_sessions.inc();
            }
            End::Closed | End::Abandoned | End::ClientClosed | End::TransportGone | End::Failed => {}
        }
        let transport = self.transport.get();
        self.metrics.sessions.get_or_create(&TransportLabel { transport }).dec();
        let lingers = match end {
            End::Closed => self.hands_out_later(),
            // The poll that the close packet overtook on its way is still to be ended.
            End::ClientClosed => transport == Transport::Polling && !self.polling.is_open(),
            _ => false,
        };
        // What has been taken in was promised to be handled.
        let drains = end == End::TransportGone && !self.inbox.is_empty();
        self.state.set(match (lingers, drains) {
            (true, _) => State::Lingering,
            (false, true) => State::Draining,
            (false, false) => State::Over,
        });
        self.linger.set(if end == End::ClientClosed { LINGER_CLOSED } else { LINGER });
        self.say_goodbye(end);
        if !drains {
            self.inbox.clear();
        }
        if self.state.get() == State::Over
            && let Some(sessions) = self.sessions.upgrade()
        {
            sessions.remove(self.secret);
        }
        self.wake.notify_one();
        self.kick.notify_waiters();
    }

    /// The last packet, on whatever the client may still read.
    fn say_goodbye(&self, end: End) {
        let outbox = self.outbox();
        match self.transport.get() {
            Transport::Polling => match end {
                End::Closed => outbox.close(frame::text(b"1")),
                // The poll that is open ends like one that is to make room for a WebSocket.
                End::ClientClosed => outbox.abandon(frame::text(b"6")),
                _ => outbox.abandon(frame::text(b"1")),
            },
            Transport::WebSocket => match end {
                End::Closed | End::ClientClosed => outbox.close(frame::close(close_code::NORMAL, "")),
                End::Abandoned => {
                    outbox.abandon(frame::close(close_code::TRY_AGAIN_LATER, "too slow: reconnect and resync"));
                }
                End::TransportGone | End::Expired => outbox.abandon(frame::close(close_code::GOING_AWAY, "")),
                End::Failed => outbox.abandon(frame::close(close_code::INTERNAL_ERROR, "")),
                End::Violation(Violation::WebSocketMessage) => outbox.abandon(frame::close(close_code::TOO_BIG, "")),
                End::Violation(_) => outbox.abandon(frame::close(close_code::PROTOCOL_ERROR, "protocol error")),
            },
        }
        if let Some(link) = self.link.take() {
            if link.is_probing() {
                link.outbox.abandon(frame::close(close_code::GOING_AWAY, ""));
            } else {
                self.link.replace(Some(link));
            }
        }
    }

    /// Whether what is queued is handed out by requests that are still to come.
    fn hands_out_later(&self) -> bool {
        match self.transport.get() {
            Transport::Polling => true,
            Transport::WebSocket => self.link.borrow().as_ref().is_some_and(|link| link.is_remote),
        }
    }

    /// Everything has been handed out and handed on, or nobody wants it any more.
    fn finish(&self) {
        self.state.set(State::Over);
        self.inbox.clear();
        if let Some(sessions) = self.sessions.upgrade() {
            sessions.remove(self.secret);
        }
        self.wake.notify_one();
    }

    fn outbox(&self) -> Rc<Outbox> {
        Rc::clone(&self.outbox.borrow())
    }

    /// Queues a packet of the engine's own.
    fn push(&self, packet: &[u8]) {
        if self.outbox().push(frame::text(packet)) == Err(Full) {
            self.end(End::Abandoned);
        }
    }

    /// Takes a packet in. Messages are handled later, in their order; heartbeats at once.
    fn receive(&self, packet: Packet) -> Result<(), Violation> {
        let now = Instant::now();
        match (packet, self.generation) {
            (Packet::Ping(content), Generation::V3) => {
                let silence_max = self.config.ping_interval + self.config.ping_timeout;
                self.heartbeat.set(Heartbeat::Deadline(now + silence_max));
                self.push(&[b"3", &content[..]].concat());
                Ok(())
            }
            (Packet::Pong, Generation::V4) => {
                // One that nobody asked for changes nothing.
                if let Heartbeat::Deadline(_) = self.heartbeat.get() {
                    self.heartbeat.set(Heartbeat::PingDue(now + self.config.ping_interval));
                    self.wake.notify_one();
                }
                Ok(())
            }
            (Packet::Ping(_), Generation::V4) | (Packet::Pong, Generation::V3) => Err(Violation::HeartbeatDirection),
            (Packet::Message(message), _) => {
                self.inbox.push(Incoming::Message(message));
                self.wake.notify_one();
                Ok(())
            }
            (Packet::Close, _) => {
                if self.inbox.is_empty() && !self.is_handling.get() {
                    self.end(End::ClientClosed);
                } else {
                    self.inbox.push(Incoming::Close);
                }
                Ok(())
            }
            (Packet::Noop, _) => Ok(()),
            (Packet::Upgrade, _) => Err(Violation::EnginePacket),
        }
    }

    /// Somebody could not hand in everything, and is told to come again with the rest.
    fn is_asked_again(&self) {
        self.blocked_until.set(Some(Instant::now() + HOP_GAP_MAX));
    }

    /// A heartbeat's deadline has passed. Where packets of the client could not be read yet, it gets another chance.
    fn expired(&self, deadline: Instant) {
        let now = Instant::now();
        if self.state.get() != State::Open {
            // What is still handed out or handed on has deadlines of its own.
        } else if self.inbox.is_blocked() || self.blocked_until.get().is_some_and(|until| now < until) {
            self.heartbeat.set(Heartbeat::Deadline(deadline.max(now) + self.config.ping_timeout));
        } else {
            self.end(End::Expired);
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("state", &self.state).finish_non_exhaustive()
    }
}
