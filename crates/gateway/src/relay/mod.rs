//! From the log to the workers: one feed per team with subscribers here, whichever worker they are on.

mod delivery;
mod feed;
mod read;
mod recent;
mod recheck;

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicUsize},
    time::Duration,
};

use huddle_bus::Bus;
use huddle_domain::{Seq, TeamId};
use huddle_log::Log;
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_service::lifecycle::Shutdown;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
};

use crate::{
    Config, labellab::Typing, memberships::Memberships, metrics::GatewayMetrics, names::Names, upstream::History,
    worker::WorkerMessage,
};
pub(crate) use delivery::Delivery;
use feed::Command;
use recent::Budget;
pub(crate) use recent::{Page, Recent};

/// Subscriptions that may wait for one feed's attention.
const COMMANDS_MAX: usize = 256;
/// How often attaching is tried again when the feed just ended.
const ATTACH_ATTEMPTS_MAX: usize = 3;
/// Quiet feeds that ask the log at once whether they missed anything.
const RECHECKS_AT_ONCE: usize = 64;

/// The index of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerId(usize);

/// One subscription's share in a feed, given up by dropping it. It is bound to that very feed: when the feed has ended and
/// another one of the team has taken its place, dropping it takes nothing away there.
#[derive(Debug)]
pub(crate) struct Attachment {
    runtime: Handle,
    commands: mpsc::Sender<Command>,
    worker: WorkerId,
    people: bool,
    recent: Arc<Recent>,
}

impl Attachment {
    /// The team's recent events, as the feed keeps them.
    pub(crate) fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let (commands, worker, people) = (self.commands.clone(), self.worker, self.people);
        // A feed that has ended has nobody attached.
        self.runtime.spawn(async move { commands.send(Command::Detach { worker, people }).await.ok() });
    }
}

/// What feeds work with.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) history: History,
    pub(crate) memberships: Arc<Memberships>,
    pub(crate) names: Arc<Names>,
    pub(crate) metrics: GatewayMetrics,
}

/// All feeds of this gateway.
#[derive(Debug)]
pub(crate) struct Relay {
    sources: Sources,
    linger: Duration,
    shutdown: Shutdown,
    budget: Arc<Budget>,
    rechecks: Semaphore,
    /// Feeds that nobody is attached to, and that stay for who comes back.
    lingering: AtomicUsize,
    // Feeds run here, not on the workers: a busy worker must not hold up the others' events.
    runtime: Handle,
    // A plain mutex: held for a look-up, an insert or a removal, never across an await.
    feeds: Mutex<HashMap<TeamId, mpsc::Sender<Command>>>,
    // Workers register once, at their start.
    workers: RwLock<Vec<mpsc::Sender<WorkerMessage>>>,
}

impl Deref for Relay {
    type Target = Sources;

    fn deref(&self) -> &Sources {
        &self.sources
    }
}

impl Relay {
    /// Must be called within the runtime that the feeds are to run on.
    pub(crate) fn new(sources: Sources, config: &Config, shutdown: Shutdown) -> Self {
        Self {
            sources,
            linger: config.linger,
            shutdown,
            budget: Arc::new(Budget::new(config.recent_events_max.as_usize())),
            rechecks: Semaphore::new(RECHECKS_AT_ONCE),
            lingering: AtomicUsize::new(0),
            runtime: Handle::current(),
            feeds: Mutex::default(),
            workers: RwLock::default(),
        }
    }

    /// Registers a worker by the channel through which it receives events.
    pub(crate) fn register(&self, worker: mpsc::Sender<WorkerMessage>) -> WorkerId {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        workers.push(worker);
        WorkerId(workers.len() - 1)
    }

    /// Sees to it that `worker` receives the live events of `team`, and returns the feed's position: the worker
    /// receives every event after it, in order, without a gap, until the attachment is dropped. With `people` it also
    /// receives senders' names, and who is typing.
    ///
    /// # Cancel safety
    /// Not cancel safe: a call that is dropped while the feed answers leaves the feed with one subscription too many.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        worker: WorkerId,
        team: &TeamId,
        people: bool,
    ) -> Result<(Seq, Attachment), Refusal> {
        for _ in 0..ATTACH_ATTEMPTS_MAX {
            let commands = self.feed(team);
            let (reply, answer) = oneshot::channel();
            // Both fail only when the feed ended between finding it and asking it: then a new one is started.
            if commands.send(Command::Attach { worker, people, reply }).await.is_err() {
                continue;
            }
            if let Ok(answer) = answer.await {
                return answer.map(|(position, recent)| {
                    let runtime = self.runtime.clone();
                    (position, Attachment { runtime, commands, worker, people, recent })
                });
            }
        }
        Err(unavailable())
    }

    /// Tells whoever follows `team`, on all gateways, that somebody is typing. Lost when nobody does.
    pub(crate) async fn signal_typing(&self, team: &TeamId, typing: &Typing) -> Result<(), Refusal> {
        self.bus.signal(team, typing.encode()).await.map_err(|error| {
            tracing::debug!(%team, %error, "a signal is lost");
            Refusal::new(ErrorCode::Unavailable, "signals cannot be sent just now")
        })
    }

    /// Sends `message` to every worker.
    pub(crate) async fn broadcast(&self, message: impl Fn() -> WorkerMessage) {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for worker in workers {
            // A worker that is gone has no connections.
            let _ = worker.send(message()).await;
        }
    }

    fn feed(self: &Arc<Self>, team: &TeamId) -> mpsc::Sender<Command> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(commands) = feeds.get(team).filter(|commands| !commands.is_closed()) {
            return commands.clone();
        }
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        feeds.insert(team.clone(), commands.clone());
        self.runtime.spawn(feed::run(Arc::clone(self), team.clone(), receiver));
        commands
    }

    fn worker(&self, id: WorkerId) -> Option<mpsc::Sender<WorkerMessage>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).get(id.0).cloned()
    }

    /// Forgets a feed that ends. Commands that still reach it are answered by its channel's end.
    fn forget(&self, team: &TeamId, receiver: &mut mpsc::Receiver<Command>) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.close();
        // Another feed of the team may have taken its place.
        if feeds.get(team).is_some_and(mpsc::Sender::is_closed) {
            feeds.remove(team);
        }
    }
}

/// What a client is told when a flow cannot be kept whole just now.
pub(crate) fn unavailable() -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        "the team's events cannot be followed just now; subscribe again from your cursor",
    )
}
