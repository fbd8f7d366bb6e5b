//! Logs on real NATS servers, one node or three.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use async_nats::jetstream;
use async_trait::async_trait;
use huddle_devstack::{Nats, NatsOptions, Tools};
use huddle_domain::{Partitions, TeamId};
use huddle_log::{Log, conformance::Fixture};
use huddle_log_nats::{Config, NatsLog};
use tokio::sync::Mutex;

const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A log on running servers.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) nats: Mutex<Nats>,
    pub(crate) config: Config,
}

impl Served {
    pub(crate) async fn start(options: NatsOptions, partitions: Partitions) -> Self {
        let replicas = u8::try_from(options.nodes).unwrap();
        let nats = Nats::start(&Tools::locate().unwrap(), options).await.unwrap();
        let config = Config {
            servers: nats.urls(),
            partitions: partitions.count(),
            replicas,
            max_bytes: MAX_BYTES,
            ..Config::default()
        };
        Self { nats: Mutex::new(nats), config }
    }

    pub(crate) async fn log(&self) -> NatsLog {
        NatsLog::connect(self.config.clone()).await.unwrap()
    }

    /// A plain client of the servers, for what the log has no way to do.
    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.config.servers.clone()).await.unwrap())
    }

    pub(crate) async fn append_raw(&self, team: &TeamId, payload: &[u8]) {
        let partition = Partitions::new(self.config.partitions).unwrap().of(team);
        let jetstream = self.jetstream().await;
        let subject = format!("huddle.log.{partition}.{team}");
        jetstream.publish(subject, payload.to_vec().into()).await.unwrap().await.unwrap();
    }

    /// The index of the server that leads partition 0.
    pub(crate) async fn leader(&self) -> usize {
        let stream = self.jetstream().await.get_stream("HUDDLE_LOG_0").await.unwrap();
        let name = stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone()).unwrap();
        let mut nats = self.nats.lock().await;
        (0..self.config.servers.len()).find(|index| nats.node(*index).name() == name).unwrap()
    }
}

/// One node; it is killed.
#[derive(Debug)]
pub(crate) struct OneNode(pub(crate) Served);

#[async_trait]
impl Fixture for OneNode {
    async fn start(partitions: Partitions) -> Self {
        Self(Served::start(NatsOptions::default(), partitions).await)
    }

    async fn handle(&self) -> Arc<dyn Log> {
        Arc::new(self.0.log().await)
    }

    async fn kill_and_restart(&self) {
        let mut nats = self.0.nats.lock().await;
        nats.node(0).kill9().unwrap();
        nats.restart().await.unwrap();
    }

    async fn append_raw(&self, team: &TeamId, payload: &[u8]) -> bool {
        self.0.append_raw(team, payload).await;
        true
    }
}
