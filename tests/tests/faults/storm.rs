//! Reconnect storms: thousands of clients are cut and come back within a second. What they missed comes from memory, and the
//! store is asked by team, not by client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use huddle_client::{
    Client, ClientOptions, Encoding, Incoming, IncomingFrames, OutgoingMessage, Receipt, Sender, SenderOptions,
};
use huddle_domain::{Contiguity, Event, Seq, Step, TeamId};
use huddle_tests::{
    Cluster, ClusterOptions,
    faults::wire::{Link, Protocol, Wire},
    until,
};
use rand::RngExt as _;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};

const TEAMS: usize = 10;
const MEMBERS: usize = 50;
const CLIENTS: usize = 5_000;
/// Between two messages, which go to one team after the other.
const SEND_INTERVAL: Duration = Duration::from_millis(100);
/// Connections that are made at once before the storm.
const CONNECTING_MAX: usize = 64;
/// The wait of a client before it comes back, at most.
const COME_BACK: Duration = Duration::from_secs(1);
const BACK_MAX: Duration = Duration::from_mins(1);
const ACCEPTED_P99_MAX: Duration = Duration::from_secs(1);
/// One for each team.
const PAGES_OF_HISTORY_MAX: f64 = 10.0;
/// One for each user.
const QUESTIONS_MAX: f64 = 500.0;
const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn f32_five_thousand_clients_that_are_cut_come_back_without_a_read_for_each() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    let storm = Storm::start(&cluster).await?;
    storm.all_are_back("at the beginning").await?;
    let mut talk = Talk::start(&cluster)?;

    let before = Reads::of(&cluster).await?;
    let begin = Instant::now();
    storm.cut();
    storm.all_are_back("after the cut").await?;
    println!("{CLIENTS} clients are back after {:?}", begin.elapsed());
    let reads = Reads::of(&cluster).await?.since(&before);
    println!("{reads:?}");
    ensure!(reads.are_few(), "{reads:?}");
    ensure!(begin.elapsed() < BACK_MAX, "it took {:?}", begin.elapsed());

    // The other gateway has never seen them.
    let before = Reads::of_gateway(&cluster, 1).await?;
    let begin = Instant::now();
    cluster.gateways[0].kill9()?;
    storm.all_come_to_gateway_1();
    storm.all_are_back("at the other gateway").await?;
    println!("the clients of a killed gateway are back after {:?}", begin.elapsed());
    let reads = Reads::of_gateway(&cluster, 1).await?.since(&before);
    println!("{reads:?}");
    ensure!(reads.are_few(), "{reads:?}");
    ensure!(begin.elapsed() < BACK_MAX, "it took {:?}", begin.elapsed());

    let last = talk.stop().await?;
    storm.all_have(&last).await?;
    println!("accepted within {:?} (p99)", talk.p99());
    ensure!(talk.p99() < ACCEPTED_P99_MAX, "messages were accepted within {:?} (p99)", talk.p99());
    cluster.gateways[0].restart().await?;
    cluster.finish().await
}

fn team(number: usize) -> String {
    format!("team-{}", number % TEAMS)
}

/// What the gateways asked for on behalf of their clients.
#[derive(Debug)]
struct Reads {
    pages_of_history: f64,
    memberships: f64,
}

impl Reads {
    async fn of(cluster: &Cluster) -> Result<Self> {
        let (first, second) = (Self::of_gateway(cluster, 0).await?, Self::of_gateway(cluster, 1).await?);
        Ok(Self {
            pages_of_history: first.pages_of_history + second.pages_of_history,
            memberships: first.memberships + second.memberships,
        })
    }

    async fn of_gateway(cluster: &Cluster, gateway: usize) -> Result<Self> {
        let metrics = cluster.gateway_metrics(gateway).await?;
        let calls = |call: &str| {
            metrics.series(&format!("huddle_gateway_upstream_calls_total{{call=\"{call}\"}}")).unwrap_or_default()
        };
        Ok(Self { pages_of_history: calls("list_events"), memberships: calls("get_memberships") })
    }

    /// By the number of teams, not of clients: a page of history for each team at most, and a few questions for all who
    /// come in the same moment.
    fn are_few(&self) -> bool {
        self.pages_of_history <= PAGES_OF_HISTORY_MAX && self.memberships <= QUESTIONS_MAX
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            pages_of_history: self.pages_of_history - before.pages_of_history,
            memberships: self.memberships - before.memberships,
        }
    }
}

/// The clients. Each belongs to one gateway, until that is dead.
struct Storm {
    wires: [Wire; 2],
    state: Arc<State>,
    clients: JoinSet<Result<()>>,
}

struct State {
    urls: [String; 2],
    /// Whether the first gateway is gone for good.
    moved: AtomicBool,
    /// Counts the storms: a client is back when it has caught up in the present one.
    storm: AtomicUsize,
    back: Vec<AtomicUsize>,
    /// The last position that each client has, without a hole.
    seen: Vec<AtomicU64>,
    connecting: Semaphore,
}

impl Storm {
    async fn start(cluster: &Cluster) -> Result<Self> {
        let teams = (0..TEAMS).map(|number| {
            let members = (0..MEMBERS).map(|member| format!("user-{number}-{member}")).chain(["sender".to_owned()]);
            (team(number), members.collect())
        });
        cluster.create_teams(&teams.collect()).await?;
        let wire = |gateway: usize| {
            let address = cluster.http_url(gateway).trim_start_matches("http://").parse()?;
            Wire::to(address, Protocol::Any)
        };
        let wires = [wire(0)?, wire(1)?];
        let state = Arc::new(State {
            urls: [0, 1].map(|gateway: usize| format!("ws://{}/v1/ws", wires[gateway].address())),
            moved: AtomicBool::new(false),
            storm: AtomicUsize::new(1),
            back: (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect(),
            seen: (0..CLIENTS).map(|_| AtomicU64::default()).collect(),
            connecting: Semaphore::new(CONNECTING_MAX),
        });
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let user = format!("user-{}-{}", number % TEAMS, number / TEAMS % MEMBERS);
            clients.spawn(run(Arc::clone(&state), number, cluster.token(&user)?));
        }
        Ok(Self { wires, state, clients })
    }

    fn cut(&self) {
        self.state.storm.fetch_add(1, Ordering::SeqCst);
        for wire in &self.wires {
            Link::from(wire).reset();
        }
    }

    /// Those of the first gateway, that is; the others stay.
    fn all_come_to_gateway_1(&self) {
        self.state.moved.store(true, Ordering::SeqCst);
        let storm = self.state.storm.fetch_add(1, Ordering::SeqCst) + 1;
        for number in (0..CLIENTS).filter(|number| home(*number) == 1) {
            self.state.back[number].store(storm, Ordering::SeqCst);
        }
    }

    async fn all_are_back(&self, when: &str) -> Result<()> {
        let storm = self.state.storm.load(Ordering::SeqCst);
        let is_back = |back: &AtomicUsize| back.load(Ordering::SeqCst) >= storm;
        until(&format!("all clients are back {when}"), PATIENCE, async || {
            Ok(self.state.back.iter().all(is_back).then_some(()))
        })
        .await
    }

    /// Waits until every client has what was accepted last in its team, and then ends all of them.
    async fn all_have(mut self, last: &[Seq]) -> Result<()> {
        let has = |number: usize| self.state.seen[number].load(Ordering::SeqCst) >= last[number % TEAMS].get();
        until("all clients have everything", PATIENCE, async || Ok((0..CLIENTS).all(has).then_some(()))).await?;
        ensure!(self.clients.try_join_next().is_none(), "a client failed");
        Ok(())
    }
}

fn home(number: usize) -> usize {
    number / TEAMS % 2
}

async fn run(state: Arc<State>, number: usize, token: String) -> Result<()> {
    let team = TeamId::parse(&team(number))?;
    let mut place: Option<Contiguity> = None;
    loop {
        let gateway = if state.moved.load(Ordering::SeqCst) { 1 } else { home(number) };
        let options = ClientOptions::new(state.urls[gateway].clone(), token.clone()).with_encoding(Encoding::Proto);
        let connected = {
            let first = place.is_none().then_some(state.connecting.acquire());
            let _permit = match first {
                Some(permit) => Some(permit.await?),
                None => None,
            };
            Box::pin(Client::connect(&options)).await
        };
        let storm = state.storm.load(Ordering::SeqCst);
        if let Ok((client, frames)) = connected
            && let Ok(subscribed) = client.subscribe(&team, place.map(|place| place.last())).await
        {
            let place = place.get_or_insert_with(|| Contiguity::after(subscribed.last_seq));
            follow(&state, number, storm, place, frames).await.with_context(|| format!("client {number}"))?;
        }
        let wait = rand::rng().random_range(Duration::ZERO..COME_BACK);
        sleep(wait).await;
    }
}

/// Takes events until the connection is lost.
async fn follow(
    state: &State,
    number: usize,
    storm: usize,
    place: &mut Contiguity,
    mut frames: IncomingFrames,
) -> Result<()> {
    while let Some(frame) = frames.next().await {
        match frame {
            Incoming::Event(event) => take(place, &event)?,
            Incoming::CaughtUp { seq, .. } => {
                place.advance(seq);
                state.back[number].fetch_max(storm, Ordering::SeqCst);
            }
            Incoming::Closed(_) | Incoming::SubscriptionEnded { .. } => return Ok(()),
            _ => {}
        }
        state.seen[number].store(place.last().get(), Ordering::SeqCst);
    }
    Ok(())
}

fn take(place: &mut Contiguity, event: &Event) -> Result<()> {
    let step = place.judge(event);
    ensure!(step == Step::Next, "{step:?} at {} after {}", event.seq, place.last());
    place.advance(event.seq);
    Ok(())
}

/// Each team's last position, and how long each message took to be accepted.
type Said = (Vec<Seq>, Vec<Duration>);

/// Somebody who talks in all teams, on a connection that nobody cuts.
struct Talk {
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<Result<Said>>>,
    took: Vec<Duration>,
}

impl Talk {
    fn start(cluster: &Cluster) -> Result<Self> {
        let client = cluster.client_options(1, "sender", Encoding::Proto)?;
        let sender = Sender::new(SenderOptions { client, in_flight_max: 32 });
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(talk(sender, Arc::clone(&stop)));
        Ok(Self { stop, task: Some(task), took: Vec::new() })
    }

    /// Ends it, and returns each team's last position.
    async fn stop(&mut self) -> Result<Vec<Seq>> {
        self.stop.store(true, Ordering::SeqCst);
        let (last, mut took) = self.task.take().context("stopped twice")?.await??;
        took.sort();
        self.took = took;
        Ok(last)
    }

    fn p99(&self) -> Duration {
        self.took.get(self.took.len() * 99 / 100).copied().unwrap_or_default()
    }
}

async fn talk(sender: Sender, stop: Arc<AtomicBool>) -> Result<Said> {
    let mut ticks = interval(SEND_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        let message = OutgoingMessage::new(TeamId::parse(&team(number))?, format!("message {number}"));
        let begin = Instant::now();
        let pending = sender.start_send(message, Receipt::Accepted).await?;
        let to = number % TEAMS;
        under_way.push(tokio::spawn(async move { anyhow::Ok((to, pending.receipt().await?.seq, begin.elapsed())) }));
        number += 1;
    }
    let mut last = vec![Seq::ZERO; TEAMS];
    let mut took = Vec::new();
    for outcome in try_join_all(under_way).await? {
        let (to, seq, elapsed) = outcome?;
        last[to] = last[to].max(seq);
        took.push(elapsed);
    }
    Ok((last, took))
}
