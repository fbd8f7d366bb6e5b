//! Clients and gateways that fall behind: a reader who stays slow, one of Socket.IO who does not poll, and a gateway that
//! NATS has given up.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, stream};
use huddle_client::{Client, Encoding, Followed, Follower};
use huddle_domain::{ClientId, Seq, TeamId};
use huddle_tests::{Cluster, ClusterOptions, http, until};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::aid::{Looker, Stayer, metric};

const TEAM: &str = "loud";
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_mins(1);
/// Others are shown what somebody does not read within this time.
const SHOWN_BOUND: Duration = Duration::from_secs(5);
/// The largest messages, sent so many at once.
const BODY: &str = "😀";
const BODY_CHARACTERS: usize = 3_900;
const BODY_BYTES: u64 = 4 * 3_900;
const IN_FLIGHT: usize = 32;
/// Sends between two looks at whether something has happened.
const SENDS_AT_ONCE: usize = 100;
/// More than kernels and queues take in on one way: 30 MB.
const SENDS_MAX: usize = 2_000;

/// Somebody who sends as fast as they can.
struct Flood {
    client: Client,
    team: TeamId,
    sent: Vec<u64>,
}

impl Flood {
    async fn at(cluster: &Cluster, gateway: usize) -> Result<Self> {
        let options = cluster.client_options(gateway, "sender", Encoding::Proto)?;
        let (client, _) = Box::pin(Client::connect(&options)).await?;
        Ok(Self { client, team: TeamId::parse(TEAM)?, sent: Vec::new() })
    }

    async fn send(&mut self, count: usize) -> Result<()> {
        let body = BODY.repeat(BODY_CHARACTERS);
        let ids = (0..count).map(|number| ClientId::parse(&format!("loud-{}", self.sent.len() + number)));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let send = |id| {
            let (client, team, body) = (&self.client, &self.team, body.clone());
            async move { client.send(team, &id, body).await }
        };
        let accepted: Vec<_> = stream::iter(ids).map(send).buffered(IN_FLIGHT).collect().await;
        for accepted in accepted {
            self.sent.push(accepted?.seq.get());
        }
        // What is sent at once may overtake each other.
        self.sent.sort_unstable();
        Ok(())
    }

    /// Sends until `has_happened`.
    async fn until(&mut self, what: &str, mut has_happened: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let before = self.sent.len();
        while !has_happened().await? {
            ensure!(self.sent.len() - before < SENDS_MAX, "after {} sends it is not so that {what}", self.sent.len());
            self.send(SENDS_AT_ONCE).await?;
        }
        Ok(())
    }

    fn last(&self) -> Result<u64> {
        self.sent.last().copied().context("nothing was sent")
    }
}

async fn start(settings: &[(&str, &str)]) -> Result<Cluster> {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let cluster = Box::pin(Cluster::start(ClusterOptions { settings, ..ClusterOptions::default() })).await?;
    cluster.create_team(TEAM, &["sender", "slow", "listener", "stayer"]).await?;
    Ok(cluster)
}

/// How many connections the gateway has closed because their clients read too slowly.
async fn closes(cluster: &Cluster, gateway: usize) -> Result<f64> {
    let metrics = cluster.gateway_metrics(gateway).await?;
    Ok(metrics.series("huddle_gateway_closes_total{code=\"CLOSE_CODE_SLOW_CONSUMER\"}").unwrap_or_default())
}

/// The most bytes that a process has had in memory so far.
fn peak_memory_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_follower_that_stays_slow_reads_pages_before_it_subscribes_again_and_gets_everything_once() -> Result<()>
{
    let cluster = start(&[]).await?;
    let options = cluster.client_options(0, "slow", Encoding::Proto)?;
    let mut slow = Follower::new(options, TeamId::parse(TEAM)?, Some(Seq::ZERO));
    let mut flood = Flood::at(&cluster, 1).await?;
    let mut received = Vec::new();
    caught_up(&mut slow, &mut received).await?;
    let early = received.len();

    let mut paged = Vec::new();
    for closed in [1.0, 2.0] {
        // Nobody takes what comes until the gateway has had enough.
        flood.until("the reader is closed", async || Ok(closes(&cluster, 0).await? >= closed)).await?;
        until_stored(&cluster, flood.last()?).await?;
        paged.push(caught_up(&mut slow, &mut received).await?);
    }
    // After the first time it subscribed at once; after the second it read pages before.
    ensure!(paged[0] == 0, "{} events between two connections", paged[0]);
    ensure!(paged[1] > 0, "no page was read");
    ensure!(received[early..] == flood.sent, "{} received, {} sent", received.len() - early, flood.sent.len());
    flood.send(1).await?;
    caught_up_with(&mut slow, &mut received, flood.last()?).await?;
    ensure!(received[early..] == flood.sent, "the reader does not go on live");
    Box::pin(cluster.finish()).await
}

/// Takes events until the follower has caught up; returns how many came while there was no subscription.
async fn caught_up(slow: &mut Follower, received: &mut Vec<u64>) -> Result<usize> {
    let (mut is_subscribed, mut paged, mut has_begun) = (received.is_empty(), 0, received.is_empty());
    loop {
        let next = timeout(PATIENCE, slow.next()).await.context("the follower waits")??;
        match next {
            Followed::Event(event) => {
                received.push(event.seq.get());
                // What was on its way comes before the connection's end is told.
                if has_begun && !is_subscribed {
                    paged += 1;
                }
            }
            Followed::Disconnected { reason, .. } => {
                ensure!(reason.contains("resync from your cursor"), "the follower was disturbed: {reason}");
                (is_subscribed, has_begun) = (false, true);
            }
            Followed::Connected { .. } => is_subscribed = true,
            Followed::CaughtUp { .. } if is_subscribed && has_begun => return Ok(paged),
            other => bail!("{other:?}"),
        }
    }
}

async fn caught_up_with(slow: &mut Follower, received: &mut Vec<u64>, last: u64) -> Result<()> {
    while received.last() != Some(&last) {
        if let Followed::Event(event) = timeout(PATIENCE, slow.next()).await.context("the follower waits")?? {
            received.push(event.seq.get());
        }
    }
    Ok(())
}

/// Waits until history shows the event at `seq`.
async fn until_stored(cluster: &Cluster, seq: u64) -> Result<()> {
    until("everything is stored", PATIENCE, async || {
        let stored = cluster.stored_events(TEAM).await?;
        Ok(stored.last().is_some_and(|event| event.seq >= seq).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_client_of_socket_io_that_does_not_poll_is_let_go_slows_nobody_and_pulls_what_it_missed() -> Result<()> {
    /// The outbox of one client, and what is on its way to the others.
    const GROWTH_BYTES_MAX: u64 = 48 * 1024 * 1024;
    const PAGE_EVENTS: usize = 7;

    let mut cluster = start(&[]).await?;
    let token = cluster.token("slow")?;
    let polling = format!("{}/socket.io/?EIO=4&transport=polling", cluster.http_url(0));
    let opened = http::get(&polling, None).await?;
    let id = opened.body.split('"').nth(3).with_context(|| format!("no session: {}", opened.body))?;
    let session = format!("{polling}&sid={id}");
    let connect = json!({"token": token}).to_string();
    ensure!(http::request_with("POST", &session, &[], Some(&format!("40{connect}"))).await?.body == "ok");
    let mut heard = String::new();
    while !heard.contains("caught_up") {
        let polled = http::get(&session, None).await?;
        ensure!(polled.status == 200, "{}", polled.body);
        heard.push_str(&polled.body);
    }

    let mut listener = Looker::at(&cluster, 0, "listener", TEAM, None).await?;
    let mut flood = Flood::at(&cluster, 1).await?;
    flood.send(1).await?;
    listener.until(flood.last()?, SHOWN_BOUND).await?;
    let pid = cluster.gateways[0].process().pid();
    let memory = peak_memory_bytes(pid)?;
    while closes(&cluster, 0).await? < 1.0 {
        ensure!(flood.sent.len() < SENDS_MAX, "who does not poll is there still after {} sends", flood.sent.len());
        flood.send(SENDS_AT_ONCE).await?;
        listener.until(flood.last()?, SHOWN_BOUND).await.context("who does not poll slows others down")?;
    }
    for _ in 0..3 {
        flood.send(SENDS_AT_ONCE).await?;
        listener.until(flood.last()?, SHOWN_BOUND).await?;
    }
    let growth = peak_memory_bytes(pid)?.saturating_sub(memory);
    ensure!(growth < GROWTH_BYTES_MAX, "the gateway took {growth} bytes while {} MB came", megabytes(&flood));

    // Its session is gone, in the words of the protocol.
    let polled = http::get(&session, None).await?;
    ensure!(polled.status == 400 && polled.body.contains("\"code\":1"), "{}: {}", polled.status, polled.body);
    until_stored(&cluster, flood.last()?).await?;
    let before = flood.sent[0] - 1;
    let missed = pull(&cluster, &token, before, PAGE_EVENTS).await?;
    ensure!(missed == flood.sent, "{} pulled, {} sent", missed.len(), flood.sent.len());
    Box::pin(cluster.finish()).await
}

fn megabytes(flood: &Flood) -> u64 {
    flood.sent.len() as u64 * BODY_BYTES / 1_000_000
}

/// Reads everything after `after` page by page over plain HTTP.
async fn pull(cluster: &Cluster, token: &str, after: u64, limit: usize) -> Result<Vec<u64>> {
    let mut seqs: Vec<u64> = Vec::new();
    loop {
        let cursor = seqs.last().copied().unwrap_or(after);
        let url = format!("{}/v1/teams/{TEAM}/events?after={cursor}&limit={limit}", cluster.http_url(0));
        let page = http::get(&url, Some(token)).await?.json()?;
        let events = page["events"].as_array().with_context(|| format!("no page: {page}"))?;
        ensure!(events.len() <= limit, "{} events on a page", events.len());
        for event in events {
            let number = |name: &str| anyhow::Ok(event[name].as_str().unwrap_or("0").parse::<u64>()?);
            let (seq, prev_seq) = (number("seq")?, number("prev_seq")?);
            let last = seqs.last().copied().unwrap_or(after);
            ensure!(prev_seq <= last && seq > last, "{seq} follows {prev_seq}, and {last} came before it");
            seqs.push(seq);
        }
        if page["has_more"] == Value::Bool(false) {
            return Ok(seqs);
        }
        ensure!(!events.is_empty(), "nothing, and yet there is more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_gateway_that_nats_has_given_up_as_slow_is_whole_again_without_a_hole() -> Result<()> {
    // What a gateway missed comes to its clients faster than they read in a test's process; here that is not the question.
    let mut cluster = start(&[("gateway.outbox_max", "128MiB"), ("gateway.outbox_frames_max", "100000")]).await?;
    let stayer = Stayer::at(&cluster, 0, "stayer", TEAM).await?;
    let mut elsewhere = Looker::at(&cluster, 1, "listener", TEAM, None).await?;
    let mut flood = Flood::at(&cluster, 1).await?;
    flood.send(1).await?;
    elsewhere.until(flood.last()?, SHOWN_BOUND).await?;
    until("the stayer sees the first message", PATIENCE, async || Ok((stayer.ensure_chained()? == 1).then_some(())))
        .await?;
    let monitor = format!("http://127.0.0.1:{}/varz", cluster.nats.node(0).monitor_port());
    let slow_consumers = async || {
        let varz = http::get(&monitor, None).await?.json()?;
        varz["slow_consumers"].as_u64().context("no slow_consumers")
    };
    let before = slow_consumers().await?;

    cluster.gateways[0].process().pause()?;
    let paused = Instant::now();
    let outcome = flood_until(&mut flood, &mut elsewhere, async || Ok(slow_consumers().await? > before)).await;
    cluster.gateways[0].process().resume()?;
    outcome.with_context(|| format!("{} MB in {:?}", megabytes(&flood), paused.elapsed()))?;

    flood.send(1).await?;
    let count = flood.sent.len();
    until("the stayer has seen everything", PATIENCE, async || {
        ensure!(stayer.is_connected(), "the stayer's connection has ended");
        Ok((stayer.ensure_chained()? >= count).then_some(()))
    })
    .await
    .with_context(|| format!("{:?} of {count}", stayer.ensure_chained()))?;
    ensure!(stayer.ensure_chained()? == count, "{} of {count}", stayer.ensure_chained()?);
    let filled = metric(&cluster.gateways[0], "huddle_gateway_gaps_filled_total").await?;
    ensure!(filled >= 1.0, "nothing was missing: NATS has not given the gateway up");
    Box::pin(cluster.finish()).await
}

/// Sends, while somebody elsewhere is shown it at once, until `has_happened`.
async fn flood_until(
    flood: &mut Flood,
    elsewhere: &mut Looker,
    mut has_happened: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    while flood.sent.len() < SENDS_MAX {
        flood.send(SENDS_AT_ONCE).await?;
        elsewhere.until(flood.last()?, SHOWN_BOUND).await.context("a gateway that stands still slows others down")?;
    }
    until("NATS gives the gateway up", PATIENCE, async || Ok(has_happened().await?.then_some(()))).await
}
