//! Owns what several rows need: events that are lost on the way, clients that only look, and looks into a recording or at a
//! process.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_client::{Accepted, Client, Encoding, Incoming, IncomingFrames, RequestError};
use huddle_devstack::Tools;
use huddle_domain::{ClientId, Event, Seq, TeamId};
use huddle_proto::gateway::v1::ErrorCode;
use huddle_tests::{
    Access, Cluster, Service,
    faults::{
        Attempt, AttemptEnd, World, attempts,
        wire::{Dropped, Link, NatsMessage},
    },
    http,
    raw_ws::{RawWs, Received},
    until,
};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::{timeout, timeout_at},
};

/// What runs before anything is broken, so that there is something to compare with.
pub(crate) const CALM: Duration = Duration::from_secs(5);
/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// Receipts that had left the log when a fault began may still be on their way to the clients.
pub(crate) const ON_THEIR_WAY: Duration = Duration::from_secs(1);
/// Fewer attempts than this show nothing.
const ATTEMPTS_MIN: usize = 20;
/// The longest wait for a single answer.
const ANSWER_BOUND: Duration = Duration::from_secs(30);

/// Loses the next live event of `team`, of which `is_meant` says that it is the one, on `link`.
pub(crate) fn lose_live_event(
    link: &Link,
    team: &str,
    is_meant: impl Fn(&NatsMessage<'_>) -> bool + Send + 'static,
) -> Dropped {
    let end = format!(".{team}");
    let mut is_lost = false;
    link.drop_replies(move |message| {
        let is_event = message.subject.starts_with("huddle.live.") && message.subject.ends_with(&end);
        let is_chosen = is_event && !is_lost && is_meant(message);
        is_lost |= is_chosen;
        is_chosen
    })
}

/// Makes a gateway connect to the node `index` of NATS, and no other gateway: the others refuse it for a moment, and that
/// one refuses the other gateways. Returns the number by which the node knows the connection.
pub(crate) async fn attach(cluster: &mut Cluster, gateway: usize, node: usize) -> Result<u64> {
    let mut refusals = Vec::new();
    for (index, other) in cluster.gateways.iter().enumerate() {
        for refused in (0..cluster.nats.urls().len()).filter(|it| (index == gateway) != (*it == node)) {
            refusals.push(cluster.wires().between(other.name(), &node_name(refused)));
        }
    }
    for refusal in &refusals {
        refusal.cut();
    }
    let connection = until("the node has a connection of that gateway alone", PATIENCE, async || {
        Ok(<[u64; 1]>::try_from(connections_of_gateways(cluster, node).await?).ok().map(|[number]| number))
    })
    .await?;
    cluster.wait_until_ready().await?;
    for refusal in &refusals {
        refusal.heal();
    }
    Ok(connection)
}

/// The numbers by which a node of NATS knows the connections of gateways: they alone listen to what is live.
pub(crate) async fn connections_of_gateways(cluster: &mut Cluster, node: usize) -> Result<Vec<u64>> {
    let monitor_port = cluster.nats.node(node).monitor_port();
    let answer = http::get(&format!("http://127.0.0.1:{monitor_port}/connz?subs=1&limit=1024"), None).await?.json()?;
    let connections = answer["connections"].as_array().context("no connections")?;
    let listens = |connection: &&Value| {
        let subjects = connection["subscriptions_list"].as_array().map(Vec::as_slice).unwrap_or_default();
        subjects.iter().filter_map(Value::as_str).any(|subject| subject.starts_with("huddle.live."))
    };
    let of_gateways = connections.iter().filter(listens).map(|it| it["cid"].as_u64().context("no number"));
    of_gateways.collect()
}

/// The name of a node of NATS.
pub(crate) fn node_name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// A counter or gauge of a gateway, all its series together; 0 while there is none.
pub(crate) async fn metric(gateway: &Service, name: &str) -> Result<f64> {
    Ok(gateway.metrics().await?.sum(name).unwrap_or_default())
}

/// How many batches the replicas of persistence have counted whose oldest entry was older than `bound` when it was stored:
/// one of the bounds of the metric, in seconds.
pub(crate) async fn older_entries(cluster: &Cluster, bound: &str) -> Result<f64> {
    const AGE: &str = "huddle_persistence_entry_age_seconds";
    let mut older = 0.0;
    for replica in &cluster.persistence {
        let metrics = replica.metrics().await?;
        let up_to = |bound: &str| metrics.series(&format!("{AGE}_bucket{{le=\"{bound}\"}}")).context("no such bound");
        older += up_to("+Inf")? - up_to(bound)?;
    }
    Ok(older)
}

/// A session of Postgres that executes `statements`, and ends with them. It fails with the first that does.
pub(crate) fn psql(cluster: &Cluster, statements: &str) -> Result<Child> {
    let mut psql = Command::new(Tools::locate()?.postgres_bin()?.join("psql"));
    psql.args([cluster.postgres.url_of("huddle").as_str(), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "-Atqc"]);
    psql.arg(statements).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    psql.spawn().context("cannot start psql")
}

/// Executes `statements`, such as those that rows of [`Access::rows`] cannot be had from.
pub(crate) async fn execute(cluster: &Cluster, statements: &str) -> Result<()> {
    let status = psql(cluster, statements)?.wait().await?;
    ensure!(status.success(), "psql ended with {status}: {statements}");
    Ok(())
}

/// What a process has in memory, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

/// A user at a gateway who follows one team.
pub(crate) struct Looker {
    pub(crate) client: Client,
    frames: IncomingFrames,
    team: TeamId,
}

/// What a [`Looker`] sees next.
#[derive(Debug)]
pub(crate) enum Seen {
    Event(Box<Event>),
    /// The subscription has ended, with this code.
    Ended(String),
}

impl Looker {
    /// Connects `user`, who follows `team` after `after`, or from now on.
    pub(crate) async fn at(
        access: &Access,
        gateway: usize,
        user: &str,
        team: &str,
        after: Option<u64>,
    ) -> Result<Self> {
        let options = access.client_options(gateway, user, Encoding::Proto)?;
        let (client, frames) = Box::pin(Client::connect(&options)).await?;
        let team = TeamId::parse(team)?;
        timeout(ANSWER_BOUND, client.subscribe(&team, after.map(Seq::new)))
            .await
            .context("not subscribed in time")??;
        Ok(Self { client, frames, team })
    }

    pub(crate) async fn send(&self, client_id: &str) -> Result<Accepted, RequestError> {
        let client_id = ClientId::parse(client_id).unwrap_or_else(|_| unreachable!("tests write ids"));
        self.client.send(&self.team, &client_id, client_id.as_str()).await
    }

    /// The next event, or the subscription's end, within `bound`.
    pub(crate) async fn next(&mut self, bound: Duration) -> Result<Seen> {
        let deadline = tokio::time::Instant::now() + bound;
        loop {
            match timeout_at(deadline, self.frames.next()).await.with_context(|| format!("nothing for {bound:?}"))? {
                Some(Incoming::Event(event)) => return Ok(Seen::Event(Box::new(event))),
                Some(Incoming::SubscriptionEnded { refusal, .. }) => {
                    return Ok(Seen::Ended(refusal.code.as_str_name().to_owned()));
                }
                Some(Incoming::Closed(disconnect)) => bail!("the connection has ended: {disconnect}"),
                None => bail!("the connection has ended"),
                Some(_) => {}
            }
        }
    }

    /// The next message must be the one that was sent under `client_id`.
    pub(crate) async fn expect(&mut self, client_id: &str, bound: Duration) -> Result<()> {
        match self.next(bound).await? {
            Seen::Event(event) if event.client_id.as_str() == client_id => Ok(()),
            other => bail!("{other:?} came instead of {client_id}"),
        }
    }

    /// Reads until it is up to date with everything up to `seq`; how many events that were.
    pub(crate) async fn until(&mut self, seq: u64, bound: Duration) -> Result<usize> {
        let (deadline, mut count) = (Instant::now() + bound, 0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Seen::Event(event) = self.next(left).await? else { bail!("the subscription has ended") };
            count += 1;
            if event.seq.get() >= seq {
                return Ok(count);
            }
        }
    }
}

/// A client that follows a team and stays, whatever happens, until the gateway ends the connection.
pub(crate) struct Stayer {
    chain: Arc<Mutex<Vec<(u64, u64)>>>,
    reading: JoinHandle<Result<Option<u16>>>,
}

impl Stayer {
    pub(crate) async fn at(access: &Access, gateway: usize, user: &str, team: &str) -> Result<Self> {
        Self::through(&access.ws_url(gateway), access, user, team).await
    }

    /// As [`Stayer::at`], by way of `url`.
    pub(crate) async fn through(url: &str, access: &Access, user: &str, team: &str) -> Result<Self> {
        let mut socket = RawWs::open(url).await?;
        socket.hello(&access.token(user)?).await?;
        let reply = socket.request(json!({"subscribe": {"team": team}})).await?;
        ensure!(reply.get("subscribed").is_some(), "not subscribed but {reply}");
        let chain = Arc::<Mutex<Vec<(u64, u64)>>>::default();
        let reading = tokio::spawn(read_on(socket, Arc::clone(&chain)));
        Ok(Self { chain, reading })
    }

    /// Whether the connection is there still.
    pub(crate) fn is_connected(&self) -> bool {
        !self.reading.is_finished()
    }

    /// Checks that each event that came followed on the one before it, and returns how many there were.
    pub(crate) fn ensure_chained(&self) -> Result<usize> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in chain.windows(2) {
            ensure!(
                pair[1].1 == pair[0].0,
                "{} follows {}, and what came before it was {}",
                pair[1].0,
                pair[1].1,
                pair[0].0
            );
        }
        Ok(chain.len())
    }
}

impl Drop for Stayer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Until the gateway closes; with which code.
async fn read_on(mut socket: RawWs, chain: Arc<Mutex<Vec<(u64, u64)>>>) -> Result<Option<u16>> {
    loop {
        match socket.receive().await {
            Ok(Received::Frame(frame)) => {
                // 64-bit numbers are texts in JSON.
                let number = |name: &str| frame["event"][name].as_str().and_then(|it| it.parse::<u64>().ok());
                if let (Some(seq), prev_seq) = (number("seq"), number("prev_seq").unwrap_or_default()) {
                    chain.lock().unwrap_or_else(PoisonError::into_inner).push((seq, prev_seq));
                }
            }
            Ok(Received::Close(code)) => return Ok(code),
            Ok(Received::End) => return Ok(None),
            // A gateway that stands still says nothing for long.
            Ok(Received::Pong(_)) | Err(_) => {}
        }
    }
}

/// All attempts to send in the recording of a world that has settled.
pub(crate) fn attempts_in(world: &World) -> Result<Vec<Attempt>> {
    attempts(world.recorder().path())
}

/// How long the attempts that were made by clients of `gateway` between two times took to end: the longest.
///
/// # Errors
/// When hardly anybody tried.
pub(crate) fn longest_outcome(attempts: &[Attempt], gateway: &str, from_us: u64, until_us: u64) -> Result<Duration> {
    let made = attempts.iter().filter(|it| it.gateway == gateway && (from_us..until_us).contains(&it.sent_us));
    let took: Vec<u64> = made.map(|it| it.end.as_ref().map_or(u64::MAX, |(at_us, _)| at_us - it.sent_us)).collect();
    ensure!(took.len() >= ATTEMPTS_MIN, "only {} attempts were made at {gateway}", took.len());
    Ok(Duration::from_micros(took.into_iter().max().unwrap_or_default()))
}

/// Checks that between two times nobody at `gateway` was told that a message is newly in the log, that people tried, and
/// that some of them were told that it cannot be taken now, or were still waiting at the end.
pub(crate) fn ensure_none_accepted(attempts: &[Attempt], gateway: &str, from_us: u64, until_us: u64) -> Result<()> {
    let at_gateway = || attempts.iter().filter(|it| it.gateway == gateway && it.sent_us < until_us);
    let is_then = |at_us: u64| (from_us..until_us).contains(&at_us);
    let told = at_gateway().find(|attempt| {
        attempt.end.as_ref().is_some_and(|(at_us, _)| is_then(*at_us)) && attempt.newly_accepted().is_some()
    });
    ensure!(told.is_none(), "acknowledged while nothing can be: {told:?}");
    // Some of them may have been made right before.
    let under_way = at_gateway().filter(|it| it.end.as_ref().is_none_or(|(at_us, _)| *at_us >= from_us));
    let in_vain = |attempt: &&Attempt| match &attempt.end {
        Some((at_us, AttemptEnd::Refused(code))) if is_then(*at_us) => code == ErrorCode::Unavailable.as_str_name(),
        Some((at_us, _)) => !is_then(*at_us),
        None => true,
    };
    let (tried, waited) = (under_way.clone().count(), under_way.filter(in_vain).count());
    ensure!(tried >= ATTEMPTS_MIN, "only {tried} attempts were under way at {gateway}");
    ensure!(waited > 0, "of {tried} attempts at {gateway} none was refused for want of a log, and none waited");
    Ok(())
}

/// Checks an answer to `GET /v1/teams/../messages` at a time at which the store may not answer: a refusal, or a page that goes
/// as far as `last`. Returns whether it was a page.
pub(crate) fn ensure_refused_or_whole(answer: &http::Answer, last: u64) -> Result<bool> {
    if answer.status == 503 {
        return Ok(false);
    }
    ensure!(answer.status == 200, "answered with {}: {}", answer.status, answer.body);
    let page = answer.json()?;
    let seqs = page["messages"].as_array().context("no messages")?.iter().map(|message| &message["seq"]);
    let newest = seqs.filter_map(|seq| seq.as_str()?.parse::<u64>().ok()).max();
    ensure!(newest.is_some_and(|newest| newest >= last), "a page ends at {newest:?}, and {last} had been acknowledged");
    Ok(true)
}

/// How attempts that were made by clients of `gateway` between two times ended, for people.
pub(crate) fn ends(attempts: &[Attempt], gateway: &str, from_us: u64, until_us: u64) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for attempt in attempts.iter().filter(|it| it.gateway == gateway && (from_us..until_us).contains(&it.sent_us)) {
        let end = match &attempt.end {
            None => "nothing".to_owned(),
            Some((_, AttemptEnd::Accepted(_, false))) => "accepted".to_owned(),
            Some((_, AttemptEnd::Accepted(_, true))) => "accepted earlier".to_owned(),
            Some((_, AttemptEnd::Refused(code))) => code.clone(),
            Some((_, AttemptEnd::Disconnected)) => "disconnected".to_owned(),
        };
        *ends.entry(end).or_default() += 1;
    }
    ends
}

/// Checks that what one sender sent to one team on one connection, and what was taken at the first attempt, has the order in
/// which it was sent. Returns how many messages that were.
pub(crate) fn ensure_senders_keep_their_order(attempts: &[Attempt]) -> Result<usize> {
    let mut last: HashMap<(&str, u32, &str), (u64, &str)> = HashMap::new();
    let mut count = 0;
    for attempt in attempts.iter().filter(|it| it.is_first) {
        let Some(seq) = attempt.newly_accepted() else { continue };
        count += 1;
        let key = (attempt.client.as_str(), attempt.connection, attempt.team.as_str());
        if let Some((before, client_id)) = last.insert(key, (seq, &attempt.client_id)) {
            ensure!(before < seq, "{client_id} was sent before {}, and is behind it", attempt.client_id);
        }
    }
    Ok(count)
}
