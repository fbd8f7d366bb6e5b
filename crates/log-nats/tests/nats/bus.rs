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
use huddle_bus::{Bus, BusError, PeerId, conformance};
use huddle_devstack::NatsOptions;
use huddle_domain::{Partition, Partitions, Seq, TeamId};
use huddle_log::Log;
use huddle_log_nats::{Config, NatsBus};
use tokio::{runtime::Runtime, time::timeout};

use crate::support::Served;

const PATIENCE: Duration = Duration::from_secs(40);
/// What is told at once is told within this.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Between two signals of which one is to be heard.
const PAUSE: Duration = Duration::from_millis(20);
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

/// More comes over the bus's connection than its handle can take in, and the log's feeds are not marked as interrupted.
#[tokio::test]
async fn a_flood_on_the_bus_does_not_interrupt_the_log() {
    const SIGNALS_AT_A_TIME: usize = 20_000;
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    let team = TeamId::parse("a").unwrap();
    let mut live = log.subscribe(&team).await.unwrap();
    let bus = NatsBus::connect(&served.config).await.unwrap();
    let unread = bus.signals(&team).await.unwrap();
    while bus.losses().messages == 0 {
        let (config, flooded) = (served.config.clone(), team.clone());
        let saying = std::thread::spawn(move || {
            Runtime::new().unwrap().block_on(async {
                let saying = NatsBus::connect(&config).await.unwrap();
                for _ in 0..SIGNALS_AT_A_TIME {
                    saying.signal(&flooded, Bytes::new()).await.unwrap();
                }
                // It has sent all of it when it hears of something that it has sent later.
                drop(saying.signals(&flooded).await.unwrap());
            });
        });
        // The only thread of this test stands still, so that nothing is taken in meanwhile.
        saying.join().unwrap();
        bus.signal(&team, Bytes::new()).await.unwrap();
        tokio::task::yield_now().await;
    }
    // By now, what the log's connection has to tell has come, too.
    log.last_seq(&team).await.unwrap();
    assert!(live.next().now_or_never().is_none(), "an item of the log's feed");
    drop(unread);
}

/// Without a server nobody waits, and nothing but subscriptions is kept for later.
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
    assert!(matches!(outcome, Err(BusError::Unavailable { .. })), "{outcome:?}");
    drop(held);
    let unavailable = async {
        let outcome = bus.request(&peer, Bytes::new(), PATIENCE).await;
        assert!(matches!(outcome, Err(BusError::Unavailable { .. })), "{outcome:?}");
        let outcome = bus.signal(&team, Bytes::new()).await;
        assert!(matches!(outcome, Err(BusError::Unavailable { .. })), "{outcome:?}");
    };
    timeout(AT_ONCE, unavailable).await.unwrap();
    // What is listened to and served now begins with the next connection.
    let mut feed = timeout(AT_ONCE, bus.signals(&team)).await.unwrap().unwrap();
    let later = PeerId::random();
    let mut requests = timeout(AT_ONCE, bus.serve(&later)).await.unwrap().unwrap();
    served.nats.lock().await.restart().await.unwrap();
    let other = NatsBus::connect(&served.config).await.unwrap();
    let heard = async {
        while timeout(PAUSE, feed.next()).await.is_err() {
            other.signal(&team, Bytes::new()).await.unwrap();
        }
    };
    timeout(PATIENCE, heard).await.unwrap();
    let (outcome, ()) = tokio::join!(other.request(&later, Bytes::from_static(b"?"), PATIENCE), async {
        requests.next().await.unwrap().reply(Bytes::from_static(b"!"));
    });
    assert_eq!(outcome.unwrap(), "!");
}

/// A server that stands still costs seconds, not for ever; and it gets no subscription that nobody knows of.
#[tokio::test]
async fn a_paused_server_is_not_waited_for_beyond_seconds() {
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let bus = NatsBus::connect(&served.config).await.unwrap();
    let (team, peer) = (TeamId::parse("a").unwrap(), PeerId::random());
    served.nats.lock().await.node(0).pause().unwrap();
    let outcomes =
        async { tokio::join!(bus.signals(&team), bus.request(&peer, Bytes::new(), Duration::from_millis(300))) };
    let (listening, asking) = timeout(Duration::from_secs(4), outcomes).await.unwrap();
    assert!(matches!(listening.map(drop), Err(BusError::Unavailable { .. })));
    assert!(matches!(asking, Err(BusError::NoAnswer)), "{asking:?}");
    served.nats.lock().await.node(0).resume().unwrap();
    let answered =
        async { while !matches!(bus.request(&peer, Bytes::new(), PATIENCE).await, Err(BusError::NoPeer)) {} };
    timeout(PATIENCE, answered).await.unwrap();
}
