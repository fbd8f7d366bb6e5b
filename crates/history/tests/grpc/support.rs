//! A running history service, and the events to put before it.

use std::net::SocketAddr;

use huddle_domain::{Body, EventKind, Name, Partition, Role, Seq, UserId};
use huddle_history::{Config, Parts, Server};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{StreamEventsResponse, history_service_client::HistoryServiceClient, stream_events_response::Item},
};
use huddle_service::{health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use huddle_store::PartitionStore as _;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming, transport::Channel};

use crate::backend::{Backend, PATIENCE, connect, event, eventually};

pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct History {
    pub(crate) backend: Backend,
    pub(crate) shutdown: Shutdown,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) running: AbortOnDropHandle<()>,
}

impl History {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let backend = Backend::start().await;
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let readiness = Readiness::new(shutdown.clone());
        let server = Server::bind(Parts {
            config: Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config },
            log: backend.log.clone(),
            events: backend.store.clone(),
            directory: backend.store.clone(),
            partitions: backend.store.clone(),
            verifier: backend.verifier.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            memory: None,
        });
        let server = server.await.unwrap();
        let address = server.local_addr();
        let run = server.run(shutdown.clone());
        let running = AbortOnDropHandle::new(tokio::spawn(async { run.await.unwrap() }));
        let channel = connect(address).await;
        Self { backend, shutdown, readiness, metrics, address, channel, running }
    }

    pub(crate) fn client(&self) -> HistoryServiceClient<Channel> {
        HistoryServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Appends a message of `sender` to `team`.
    pub(crate) async fn post(&self, team: &str, sender: &str, client_id: &str, text: &str) -> Seq {
        self.backend.append(event(team, sender, client_id, posted(text))).await
    }

    /// Makes the team `general` with the owner `ada` and the member `bob`. `eve` was a member; `mallory` owns another team.
    pub(crate) async fn found_general(&self) -> Seq {
        self.backend.append(event("general", "ada", "found", founded("ada"))).await;
        self.backend.append(event("elsewhere", "mallory", "found", founded("mallory"))).await;
        self.add("bob", "add-bob").await;
        self.add("eve", "add-eve").await;
        let seq = self.remove("eve", "remove-eve").await;
        self.stored(seq).await;
        seq
    }

    /// Waits until everything up to `seq` is stored.
    pub(crate) async fn stored(&self, seq: Seq) {
        eventually("the position is stored", async || {
            self.backend.store.progress(Partition::new(0)).await.is_ok_and(|stored| stored >= seq)
        })
        .await;
    }

    pub(crate) async fn add(&self, user: &str, client_id: &str) -> Seq {
        let kind = EventKind::MemberAdded { user: UserId::parse(user).unwrap(), role: Role::Member, name: None };
        self.backend.append(event("general", "ada", client_id, kind)).await
    }

    pub(crate) async fn remove(&self, user: &str, client_id: &str) -> Seq {
        let kind = EventKind::MemberRemoved { user: UserId::parse(user).unwrap() };
        self.backend.append(event("general", "ada", client_id, kind)).await
    }
}

pub(crate) fn founded(owner: &str) -> EventKind {
    EventKind::TeamCreated { name: Name::parse("A team").unwrap(), owner: UserId::parse(owner).unwrap() }
}

pub(crate) fn posted(text: &str) -> EventKind {
    EventKind::posted(Body::parse(text).unwrap())
}

/// Bounds what a test waits for.
pub(crate) async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// The code of the closed set that `status` carries.
pub(crate) fn code(status: &Status) -> ErrorCode {
    Refusal::from_status(status).code
}

/// What a stream brought: the positions of its events, and where it said that it had caught up.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) seqs: Vec<u64>,
    pub(crate) caught_up: Vec<u64>,
    pub(crate) last_client_id: String,
}

impl Seen {
    /// Reads `stream` until `until` holds.
    pub(crate) async fn read(&mut self, stream: &mut Streaming<StreamEventsResponse>, until: impl Fn(&Self) -> bool) {
        while !until(self) {
            self.take(bounded("the stream goes on", stream.message()).await.unwrap());
        }
    }

    /// Reads `stream` until it ends, which it does with a status.
    pub(crate) async fn read_to_end(&mut self, stream: &mut Streaming<StreamEventsResponse>) -> Status {
        loop {
            match bounded("the stream ends", stream.message()).await {
                Ok(item) => self.take(item),
                Err(status) => return status,
            }
        }
    }

    fn take(&mut self, item: Option<StreamEventsResponse>) {
        match item.unwrap().item.unwrap() {
            Item::Event(event) => {
                self.seqs.push(event.seq);
                self.last_client_id = event.client_id;
            }
            Item::CaughtUp(caught_up) => self.caught_up.push(caught_up.seq),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.seqs.last().copied().unwrap_or_default()
    }
}
