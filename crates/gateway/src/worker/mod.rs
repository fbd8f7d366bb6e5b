//! One worker thread's share of the gateway: its connections and their subscriptions. Nothing in here is shared with
//! other threads; what comes from outside comes through one channel, one message per event however many receive it.

mod hub;
mod receipts;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use huddle_domain::TeamId;
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, GoAway, server_frame::Content},
};
use rand::RngExt as _;
use tokio::{sync::mpsc, time::sleep};

use crate::{connection::Connection, core::Core, labellab::Typing, relay::Delivery};
pub(crate) use hub::{HeldEvents, Hub, Subscription};
pub(crate) use receipts::Awaited;
use receipts::Receipts;

/// Messages that may wait for one worker. When it is full, feeds wait.
const MESSAGES_MAX: usize = 4_096;
/// Messages handled in one go before other tasks of the worker get their turn.
const MESSAGES_PER_TURN: usize = 64;
/// The upper bound of the wait that `go_away` asks for, so that clients do not all come back at once.
const RECONNECT_SPREAD: Duration = Duration::from_secs(2);

/// How often it is looked whether tokens have been revoked.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(2);

/// What reaches a worker from outside.
#[derive(Debug, Clone)]
pub(crate) enum WorkerMessage {
    /// The next event of a team, for every subscription to it.
    Deliver(Arc<Delivery>),
    /// Somebody is typing, for every subscription to the team that shows it.
    Typing { team: TeamId, typing: Arc<Typing> },
    /// The flow of a team broke off: every subscription to it ends.
    EndTeam { team: TeamId, refusal: Refusal },
    /// Send every connection away, spread over this time.
    Drain { over: Duration },
}

/// One worker thread's state.
pub(crate) struct Worker {
    pub(crate) core: Arc<Core>,
    pub(crate) hub: Hub,
    pub(crate) receipts: Receipts,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    next_connection: Cell<u64>,
    draining: Cell<bool>,
    /// The Socket.IO sessions of this worker, where they are served.
    pub(crate) socketio: OnceCell<Rc<huddle_socketio::Worker>>,
}

impl Worker {
    /// Starts the worker of the calling thread, which must run a local task set.
    pub(crate) fn start(core: Arc<Core>) -> Rc<Self> {
        let (sender, mut messages) = mpsc::channel(MESSAGES_MAX);
        let id = core.relay.register(sender);
        let worker = Rc::new(Self {
            hub: Hub::new(Arc::clone(&core), id),
            receipts: Receipts::new(core.log.partitions()),
            core,
            connections: RefCell::default(),
            next_connection: Cell::default(),
            draining: Cell::new(false),
            socketio: OnceCell::new(),
        });
        receipts::start(&worker);
        actix_web::rt::spawn(Self::look_after_identities(Rc::downgrade(&worker)));
        let receiver = Rc::clone(&worker);
        actix_web::rt::spawn(async move {
            let mut turn = Vec::with_capacity(MESSAGES_PER_TURN);
            while messages.recv_many(&mut turn, MESSAGES_PER_TURN).await > 0 {
                for message in turn.drain(..) {
                    receiver.handle(message);
                }
                tokio::task::yield_now().await;
            }
        });
        worker
    }

    /// Ends connections whose token has been revoked, as long as the worker is there.
    async fn look_after_identities(worker: Weak<Self>) {
        loop {
            sleep(IDENTITY_INTERVAL).await;
            let Some(worker) = worker.upgrade() else { return };
            let connections: Vec<_> = worker.connections.borrow().values().cloned().collect();
            for connection in connections {
                connection.keep_identity();
            }
        }
    }

    fn handle(self: &Rc<Self>, message: WorkerMessage) {
        match message {
            WorkerMessage::Deliver(delivery) => self.hub.deliver(&delivery),
            WorkerMessage::Typing { team, typing } => self.hub.typing(&team, &typing),
            WorkerMessage::EndTeam { team, refusal } => self.hub.end_team(&team, &refusal),
            WorkerMessage::Drain { over } => self.drain(over),
        }
    }

    /// Whether new connections are to be refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// How many connections the worker has.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Takes a connection in and returns the key under which to [`Worker::leave`].
    pub(crate) fn enter(&self, connection: Rc<Connection>) -> u64 {
        let key = self.next_connection.get();
        self.next_connection.set(key + 1);
        self.connections.borrow_mut().insert(key, connection);
        self.core.metrics.connections.inc();
        key
    }

    pub(crate) fn leave(&self, key: u64) {
        if self.connections.borrow_mut().remove(&key).is_some() {
            self.core.metrics.connections.dec();
        }
    }

    fn drain(self: &Rc<Self>, over: Duration) {
        self.draining.set(true);
        if let Some(sessions) = self.socketio.get() {
            sessions.drain(over);
        }
        let connections: Vec<_> = self.connections.borrow().values().cloned().collect();
        for connection in connections {
            let share = rand::rng().random_range(0.0..=1.0);
            actix_web::rt::spawn(async move {
                sleep(over.mul_f64(share)).await;
                send_away(&connection).await;
            });
        }
    }
}

/// Tells a client to come back elsewhere, and closes its connection behind the outcome of its sends.
pub(crate) async fn send_away(connection: &Connection) {
    let wait = rand::rng().random_range(Duration::ZERO..=RECONNECT_SPREAD);
    let reconnect_in_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    connection.push(Content::GoAway(GoAway { reconnect_in_ms }));
    connection.finish_sends().await;
    connection.close(CloseCode::Restart, "the gateway restarts");
}
