//! Logs on real NATS servers, one node or three.

use std::time::Duration;

use async_nats::jetstream;
use huddle_devstack::{Nats, NatsOptions, Tools};
use huddle_domain::{Partitions, TeamId};
use huddle_log_nats::{Config, NatsLog};
use huddle_service::config::ByteCount;
use tokio::{sync::Mutex, time::sleep};

const MAX_BYTES: ByteCount = ByteCount::mebibytes(256);
/// Between two looks at who leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

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

    /// A log whose partition is full after some large messages.
    pub(crate) async fn start_small(options: NatsOptions) -> Self {
        let mut served = Self::start(options, Partitions::ONE).await;
        served.config.max_bytes = ByteCount::mebibytes(1);
        served
    }

    /// Gives partition 0 the room that others have.
    pub(crate) async fn make_room(&self) {
        let jetstream = self.jetstream().await;
        let mut settings = jetstream.get_stream("HUDDLE_LOG_0").await.unwrap().cached_info().config.clone();
        settings.max_bytes = i64::try_from(MAX_BYTES.as_u64()).unwrap();
        jetstream.update_stream(settings).await.unwrap();
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

    /// Waits until the servers, which were all killed, lead the partition again.
    pub(crate) async fn leader_after_restart(&self) {
        let jetstream = self.jetstream().await;
        while jetstream.get_stream("HUDDLE_LOG_0").await.is_err() {
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// The index of the server that leads partition 0, as soon as one does other than `former`.
    pub(crate) async fn leader_after(&self, former: Option<usize>) -> usize {
        let jetstream = self.jetstream().await;
        loop {
            if let Ok(stream) = jetstream.get_stream("HUDDLE_LOG_0").await
                && let Some(name) = stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.as_ref())
            {
                let mut nats = self.nats.lock().await;
                let leader = (0..self.config.servers.len()).find(|index| nats.node(*index).name() == name);
                if let Some(leader) = leader.filter(|leader| Some(*leader) != former) {
                    return leader;
                }
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}
