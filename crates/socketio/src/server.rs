//! The server of one process: its worker threads, and the way to those of other processes.

use std::{
    fmt,
    rc::Rc,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use huddle_bus::{Bus, PeerId, PeerRequest};
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::{
    Application, Config, ConfigError, SocketIoMetrics, Worker, engine,
    relay::{Answer, Call, answer},
    socket::SocketIo,
};

/// Calls that may wait for one worker thread.
const MAILBOX_CALLS_MAX: usize = 1_024;
/// Before the bus is asked again for the requests of other processes.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A server of one process: its worker threads' sessions, and the way to those of other processes.
pub struct Server {
    config: Arc<Config>,
    bus: Arc<dyn Bus>,
    metrics: SocketIoMetrics,
    /// Names this process in the ids of its sessions.
    peer: PeerId,
    /// The mailboxes of the worker threads, by number. Locked for a look only; written when a worker starts.
    workers: RwLock<Vec<mpsc::Sender<WorkerCall>>>,
    sessions: Arc<AtomicUsize>,
}

/// A call to a session of a worker thread.
pub(crate) struct WorkerCall {
    pub(crate) call: Call,
    pub(crate) reply: Reply,
}

/// Who waits for the answer.
pub(crate) enum Reply {
    /// Another worker thread.
    Worker(oneshot::Sender<Answer>),
    /// Another process.
    Peer(PeerRequest),
    Nobody,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("peer", &self.peer).field("config", &self.config).finish_non_exhaustive()
    }
}

impl Reply {
    pub(crate) fn send(self, answer: Answer) {
        match self {
            // Whoever asked may be gone.
            Self::Worker(reply) => drop(reply.send(answer)),
            Self::Peer(request) => request.reply(answer.encode_to_vec().into()),
            Self::Nobody => {}
        }
    }
}

impl Server {
    /// A server without workers.
    pub fn new(config: Config, bus: Arc<dyn Bus>, metrics: SocketIoMetrics) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        let (config, workers) = (Arc::new(config), RwLock::default());
        Ok(Arc::new(Self { config, bus, metrics, peer: PeerId::random(), workers, sessions: Arc::default() }))
    }

    /// Sessions of all worker threads that are open, or that still have something to hand out.
    pub fn session_count(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn session_total(&self) -> &Arc<AtomicUsize> {
        &self.sessions
    }

    /// Serves the requests of other processes, until dropped. Sessions can be opened before; requests for them that land
    /// on other processes are answered from here on.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.bus.serve(&self.peer).await {
                Ok(mut requests) => {
                    while let Some(request) = requests.next().await {
                        self.dispatch(request);
                    }
                    tracing::warn!("the bus has ended the feed of requests");
                }
                Err(error) => tracing::warn!(%error, "requests of other gateways cannot be served; trying again"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// The part of one worker thread: to be called on it, once for each place where it is configured.
    pub fn worker(self: &Arc<Self>, application: Rc<dyn Application>) -> Rc<Worker> {
        self.engine_worker(Rc::new(SocketIo::new(application, Arc::clone(&self.config))))
    }

    /// Like [`Server::worker`], for an application that wants Engine.IO without Socket.IO.
    pub fn engine_worker(self: &Arc<Self>, application: Rc<dyn engine::Application>) -> Rc<Worker> {
        let (mailbox, calls) = mpsc::channel(MAILBOX_CALLS_MAX);
        let number = {
            let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
            workers.push(mailbox);
            // One per thread.
            u32::try_from(workers.len() - 1).unwrap_or(u32::MAX)
        };
        Worker::start(Arc::clone(self), number, application, calls)
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(crate) fn metrics(&self) -> &SocketIoMetrics {
        &self.metrics
    }

    pub(crate) fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    pub(crate) fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// The mailbox of a worker thread of this process.
    pub(crate) fn mailbox(&self, worker: u32) -> Option<mpsc::Sender<WorkerCall>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.get(usize::try_from(worker).ok()?).cloned()
    }

    /// Hands a request of another process to the worker thread that it is for.
    fn dispatch(&self, mut request: PeerRequest) {
        let payload = std::mem::take(&mut request.payload);
        let call = Call::decode(payload).ok();
        let mailbox = call.as_ref().and_then(|call| self.mailbox(call.worker));
        let (Some(call), Some(mailbox)) = (call, mailbox) else {
            return Reply::Peer(request).send(Answer::refused(engine::Refusal::UnknownSid));
        };
        if let Err(refused) = mailbox.try_send(WorkerCall { call, reply: Reply::Peer(request) }) {
            let answer = match &refused {
                mpsc::error::TrySendError::Full(_) => answer::Kind::Again(true).into(),
                mpsc::error::TrySendError::Closed(_) => Answer::refused(engine::Refusal::UnknownSid),
            };
            refused.into_inner().reply.send(answer);
        }
    }
}
