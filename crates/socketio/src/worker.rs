//! One worker thread's sessions, and the calls to them from elsewhere.

use std::{
    cell::Cell,
    fmt,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use huddle_websocket::Outbox;
use tokio::sync::mpsc;

use crate::{
    Handshake,
    draining::Draining,
    engine::{Application, Inner, Parts, Refusal, Secret, Session, Sessions},
    metrics::Transport,
    relay::{self, Remote},
    server::{Server, WorkerCall},
    sid::Sid,
};

/// Posts that one worker thread passes on at a time: whether their session exists is known only where it would be.
const FORWARDED_POSTS_MAX: usize = 1_024;

/// The sessions of one worker thread.
pub struct Worker {
    pub(crate) server: Arc<Server>,
    number: u32,
    application: Rc<dyn Application>,
    sessions: Rc<Sessions>,
    pub(crate) draining: Rc<Draining>,
    /// WebSockets here whose sessions live elsewhere.
    relays: Counter,
    /// Posts that are being passed on.
    forwarded_posts: Counter,
}

/// Counts what exists at a time on one worker thread.
#[derive(Clone, Default)]
struct Counter(Rc<Cell<usize>>);

/// Counts until it is dropped.
pub(crate) struct Counted(Counter);

impl Counter {
    fn count(&self) -> Counted {
        self.0.set(self.0.get() + 1);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get() - 1);
    }
}

/// Where a session lives.
pub(crate) enum Place {
    Here(Rc<Inner>),
    Elsewhere(Remote),
}

/// A handshake that has been understood.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    /// Whether a client of Engine.IO 3 takes binary payloads.
    pub(crate) takes_binary: bool,
    pub(crate) transport: Transport,
    pub(crate) outbox: Rc<Outbox>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.number)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn start(
        server: Arc<Server>,
        number: u32,
        application: Rc<dyn Application>,
        calls: mpsc::Receiver<WorkerCall>,
    ) -> Rc<Self> {
        let sessions = Rc::new(Sessions::new(Arc::clone(server.session_total())));
        let worker = Rc::new(Self {
            server,
            number,
            application,
            sessions,
            draining: Rc::default(),
            relays: Counter::default(),
            forwarded_posts: Counter::default(),
        });
        actix_web::rt::spawn(take_calls(Rc::downgrade(&worker), calls));
        worker
    }

    /// Takes no new sessions: handshakes are refused with 503. Sessions that are open here go on. Polls for sessions of
    /// other processes are answered at once with nothing, so that their clients poll elsewhere; who has a WebSocket for such
    /// a session is [sent away](crate::Handler::send_away) by the session's own process, or cut off a second after `over` has
    /// passed.
    pub fn drain(&self, over: Duration) {
        self.draining.begin(over);
    }

    /// Sessions that are open, or that still have something to hand out to their client or on to the application.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether one more session may be opened.
    pub(crate) fn has_room(&self) -> bool {
        !self.draining.has_begun() && self.is_below_limit()
    }

    /// A place for a WebSocket whose session lives elsewhere, if there is one: it counts like a session of this thread.
    pub(crate) fn relay_place(&self) -> Option<Counted> {
        self.is_below_limit().then(|| self.relays.count())
    }

    /// A place for a post on its way to its session, if there is one.
    pub(crate) fn forwarded_post_place(&self) -> Option<Counted> {
        (self.forwarded_posts.0.get() < FORWARDED_POSTS_MAX).then(|| self.forwarded_posts.count())
    }

    fn is_below_limit(&self) -> bool {
        self.sessions.len() + self.relays.0.get() < self.server.config().sessions_per_worker_max
    }

    /// Opens a session.
    pub(crate) fn open(&self, opening: Opening) -> Rc<Inner> {
        let Opening { handshake, takes_binary, transport, outbox } = opening;
        let secret = Secret::random();
        let sid = Sid { peer: self.server.peer().clone(), worker: self.number, secret }.to_text();
        let session = Inner::new(Parts {
            sid,
            secret,
            handshake: Rc::new(handshake),
            takes_binary,
            transport,
            outbox,
            sessions: Rc::downgrade(&self.sessions),
            config: Arc::clone(self.server.config()),
            metrics: self.server.metrics().clone(),
        });
        self.sessions.insert(secret, Rc::clone(&session));
        let handler = self.application.open(Session(Rc::clone(&session)));
        actix_web::rt::spawn(Rc::clone(&session).drive(handler));
        session
    }

    /// Where the session of a request lives, if the request may speak for it.
    pub(crate) fn find(&self, sid: &str, token: Option<String>) -> Result<Place, Refusal> {
        let sid = Sid::parse(sid).ok_or(Refusal::UnknownSid)?;
        if sid.peer != *self.server.peer() || sid.worker != self.number {
            return Ok(Place::Elsewhere(Remote { server: Arc::clone(&self.server), sid, token }));
        }
        let session = self.sessions.get(sid.secret).filter(|session| session.is_bound_to(token.as_deref()));
        session.map(Place::Here).ok_or(Refusal::UnknownSid)
    }
}

/// Answers calls from elsewhere. Each is bounded in time and leads to one session, which takes one of a kind at a time.
async fn take_calls(worker: Weak<Worker>, mut calls: mpsc::Receiver<WorkerCall>) {
    while let Some(WorkerCall { call, reply }) = calls.recv().await {
        let Some(worker) = worker.upgrade() else { return };
        actix_web::rt::spawn(async move {
            reply.send(relay::answer(&worker.sessions, worker.server.config(), call).await);
        });
    }
}
