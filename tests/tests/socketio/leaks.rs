//! Clients break off at any moment, in good order or not: nothing of them stays behind.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::{try_join, try_join_all};
use huddle_tests::{
    Cluster, ClusterOptions, RoundRobin, Transport,
    socketio::{Console, Opening},
    until,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::crowd::Talker;

const TEAMS: [&str; 3] = ["1", "2", "3"];
const USER: &str = "7";
const CONSOLES: u32 = 5;
const SOCKETS_OF_A_CONSOLE: usize = 40;
/// From one console to the next.
const CONSOLE_PACE: Duration = Duration::from_millis(500);
/// Of as many sockets as are opened, so many come as far as a session, on however slow a machine.
const SESSIONS_MIN: f64 = 50.0;
/// In the life of a console: until when it opens sockets, until when it ends them, and when it is killed.
const OPENS_WITHIN: Duration = Duration::from_secs(1);
const ENDS_WITHIN: Duration = Duration::from_millis(1_400);
const DIES_AFTER: Duration = Duration::from_millis(1_500);
/// Somebody goes on talking all the time.
const SAID: usize = 100;
const PACE: Duration = Duration::from_millis(40);
/// Short, so that a client that went without a word is soon missed.
const HEARTBEAT: &str = "1s";
const GAUGES: [&str; 4] =
    ["huddle_gateway_connections", "huddle_gateway_subscriptions", "huddle_gateway_feeds", "huddle_socketio_sessions"];
/// Until the gateways have nothing left of anybody.
const FORGOTTEN_MAX: Duration = Duration::from_secs(30);

/// How a socket ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It says goodbye.
    Closes,
    /// Its connection is closed and the library makes another one, which dies.
    Returns,
    /// Its process is killed.
    Dies,
}

/// A socket's life, in times since its console began.
struct Life {
    opens: Duration,
    ends: Duration,
    end: End,
    opening: Opening,
}

impl Life {
    fn random(rng: &mut StdRng, token: &str) -> Self {
        let version = rng.random_range(2..=4);
        let transport = [Transport::Polling, Transport::WebSocket, Transport::Upgrade][rng.random_range(0..3)];
        let said = json!({ "token": token });
        let options = if version == 2 { json!({ "query": said }) } else { json!({ "auth": said }) };
        let opens = rng.random_range(Duration::ZERO..OPENS_WITHIN);
        Self {
            opens,
            ends: rng.random_range(opens..ENDS_WITHIN),
            end: [End::Closes, End::Returns, End::Dies][rng.random_range(0..3)],
            opening: Opening { version, transport, options },
        }
    }

    /// Whether or not it is connected by the time that it ends.
    async fn live(self, console: &Console, url: &str, begin: Instant) -> Result<()> {
        sleep_until(begin + self.opens).await;
        let socket = console.open(url, self.opening).await?;
        sleep_until(begin + self.ends).await;
        match self.end {
            End::Closes => socket.close().await,
            End::Returns => socket.drop_connection().await,
            End::Dies => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_behind_of_clients_that_break_off_at_any_moment() -> Result<()> {
    let settings = ["gateway.socketio.ping_interval", "gateway.socketio.ping_timeout"];
    let settings = settings.map(|key| (key.to_owned(), HEARTBEAT.to_owned())).to_vec();
    let cluster = Box::pin(Cluster::start(ClusterOptions { settings, ..ClusterOptions::default() })).await?;
    let proxy = RoundRobin::start(&[cluster.http_url(0), cluster.http_url(1)]).await?;
    let members = vec![USER.to_owned(), "talker".to_owned()];
    cluster.create_teams(&TEAMS.map(|team| (team.to_owned(), members.clone())).into_iter().collect()).await?;
    let token = cluster.token(USER)?;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);

    let teams = TEAMS.map(str::to_owned).to_vec();
    let talker = Talker::start(proxy.http_url(), cluster.token("talker")?, teams, SAID, PACE);
    let first = Instant::now();
    let consoles = (0..CONSOLES).map(|index| {
        let begin = first + CONSOLE_PACE * index;
        let lives: Vec<_> = (0..SOCKETS_OF_A_CONSOLE).map(|_| Life::random(&mut rng, &token)).collect();
        let url = proxy.http_url();
        async move {
            let console = Console::start()?;
            try_join_all(lives.into_iter().map(|life| life.live(&console, url, begin))).await?;
            sleep_until(begin + DIES_AFTER).await;
            anyhow::Ok(())
        }
    });
    let there = until("there is something that could stay behind", FORGOTTEN_MAX, async || {
        Ok(gauges(&cluster).await?.values().all(|count| *count > 0.0).then_some(()))
    });
    try_join(try_join_all(consoles), there).await?;
    let opened = total(&cluster, "huddle_socketio_handshakes_total").await?;
    assert!(opened >= SESSIONS_MIN, "there were {opened} sessions only");
    talker.finish().await?;

    let mut left = BTreeMap::new();
    let nothing_left = until("nothing is left", FORGOTTEN_MAX, async || {
        left = gauges(&cluster).await?;
        Ok(left.values().all(|count| *count == 0.0).then_some(()))
    });
    nothing_left.await.with_context(|| format!("left is {left:?}, with the seed {seed}"))?;
    Box::pin(cluster.finish()).await
}

async fn gauges(cluster: &Cluster) -> Result<BTreeMap<&'static str, f64>> {
    let mut gauges = BTreeMap::new();
    for gauge in GAUGES {
        gauges.insert(gauge, total(cluster, gauge).await?);
    }
    Ok(gauges)
}

/// Of both gateways together. Where a metric has labels, it is not there until something has happened.
async fn total(cluster: &Cluster, metric: &str) -> Result<f64> {
    let [one, two] = [cluster.gateway_metrics(0).await?, cluster.gateway_metrics(1).await?];
    Ok([one, two].iter().filter_map(|metrics| metrics.sum(metric)).sum())
}
