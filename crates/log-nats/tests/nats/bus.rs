//! The bus's guarantees on one NATS server and on three, which are killed; and what the bus must not do to the log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use huddle_bus::{Bus, PeerId, conformance};
use huddle_devstack::NatsOptions;
use huddle_domain::{Partition, Partitions, Seq, TeamId};
use huddle_log::Log;
use huddle_log_nats::{Config, NatsBus};
use tokio::{runtime::Runtime, time::timeout};

use crate::support::Served;

const PATIENCE: Duration = Duration::from_secs(40);
/// How long the threads of a process that is killed may take to end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Handles are spread over the servers.
struct Servers {
    served: Served,
    handles: AtomicUsize,
}

impl Servers {
    async fn start(options: NatsOptions) -> Self {
        Self { served: Served::start(options, Partitions::ONE).await, handles: AtomicUsize::new(0) }
    }

    fn next_config(&self) -> Config {
        let servers = &self.served.config.servers;
        let index = self.handles.fetch_add(1, Ordering::Relaxed) % servers.len();
        Config { servers: vec![servers[index].clone()], ..self.served.config.clone() }
    }

    async fn handle(&self) -> Arc<dyn Bus> {
        Arc::new(NatsBus::connect(&self.next_config()).await.unwrap())
    }

    /// A runtime stands for a process: when it ends, its sockets are closed and its tasks are gone.
    async fn doomed(&self) -> (Arc<dyn Bus>, Runtime) {
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = self.next_config();
        let bus = process.spawn(async move { NatsBus::connect(&config).await.unwrap() }).await.unwrap();
        (Arc::new(bus), process)
    }

    /// Kills the server that the first handle is connected to.
    async fn kill_and_restart(&self) {
        let mut nats = self.served.nats.lock().await;
        nats.node(0).kill9().unwrap();
        nats.restart().await.unwrap();
    }
}

macro_rules! fixture {
    ($name:ident, $options:expr, $is_known_at_once:expr) => {
        struct $name(Servers);

        #[async_trait]
        impl conformance::Fixture for $name {
            const IS_KNOWN_AT_ONCE: bool = $is_known_at_once;

            async fn start() -> Self {
                Self(Servers::start($options).await)
            }

            async fn handle(&self) -> Arc<dyn Bus> {
                self.0.handle().await
            }
        }

        #[async_trait]
        impl conformance::Outages for $name {
            type Kill = Runtime;

            async fn doomed(&self) -> (Arc<dyn Bus>, Runtime) {
                self.0.doomed().await
            }

            async fn kill(&self, process: Runtime) {
                tokio::task::spawn_blocking(|| process.shutdown_timeout(KILL_PATIENCE)).await.unwrap();
            }

            async fn kill_and_restart(&self) {
                self.0.kill_and_restart().await;
            }
        }
    };
}

mod one_node {
    use super::{Arc, Bus, KILL_PATIENCE, NatsOptions, Runtime, Servers, async_trait, conformance};

    fixture!(OneNode, NatsOptions::default(), true);
    huddle_bus::bus_conformance!(OneNode, outages);
}

mod three_nodes {
    use super::{Arc, Bus, KILL_PATIENCE, NatsOptions, Runtime, Servers, async_trait, conformance};

    fixture!(ThreeNodes, NatsOptions::cluster(), false);
    huddle_bus::bus_conformance!(ThreeNodes, outages);
}

/// A flood of signals that nobody reads, and of requests that nobody takes, leaves the log's feeds uninterrupted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_the_bus_does_not_interrupt_the_log() {
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    let (team, peer) = (TeamId::parse("a").unwrap(), PeerId::random());
    let mut live = log.subscribe(&team).await.unwrap();
    let bus = NatsBus::connect(&served.config).await.unwrap();
    let saying = NatsBus::connect(&served.config).await.unwrap();
    let unread = (bus.signals(&team).await.unwrap(), bus.serve(&peer).await.unwrap());
    while bus.losses().signals < 50_000 {
        for _ in 0..1_000 {
            saying.signal(&team, Bytes::from_static(&[0; 200])).await.unwrap();
        }
    }
    assert!(live.next().now_or_never().is_none(), "an item of the log's feed");
    drop(unread);
}

/// Without a server nothing is kept for later, and nobody waits.
#[tokio::test]
async fn without_a_server_the_bus_says_so_at_once() {
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let bus = NatsBus::connect(&served.config).await.unwrap();
    let (team, peer) = (TeamId::parse("a").unwrap(), PeerId::random());
    let mut requests = bus.serve(&peer).await.unwrap();
    let in_flight = bus.request(&peer, Bytes::new(), PATIENCE);
    let kill = async {
        let held = requests.next().await.unwrap();
        served.nats.lock().await.node(0).kill9().unwrap();
        held
    };
    let (outcome, held) = timeout(PATIENCE / 2, async { tokio::join!(in_flight, kill) }).await.unwrap();
    assert!(matches!(outcome, Err(huddle_bus::BusError::Unavailable { .. })), "{outcome:?}");
    drop(held);
    let unavailable = async {
        let outcome = bus.request(&peer, Bytes::new(), PATIENCE).await;
        assert!(matches!(outcome, Err(huddle_bus::BusError::Unavailable { .. })), "{outcome:?}");
        let outcome = bus.signal(&team, Bytes::new()).await;
        assert!(matches!(outcome, Err(huddle_bus::BusError::Unavailable { .. })), "{outcome:?}");
    };
    timeout(Duration::from_millis(500), unavailable).await.unwrap();
    let listening = timeout(PATIENCE, bus.signals(&team)).await.unwrap();
    assert!(matches!(listening.map(drop), Err(huddle_bus::BusError::Unavailable { .. })));
}
