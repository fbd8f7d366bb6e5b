//! Something is full, or gone: the log's own limit, the disk under a node of NATS, the files that a gateway may open, the
//! stream itself.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_client::{Accepted, Client, Encoding, Receipt, RequestError};
use huddle_domain::{ClientId, Seq, TeamId};
use huddle_proto::gateway::v1::ErrorCode;
use huddle_tests::{
    Cluster, ClusterOptions, Service,
    faults::disk::{Disk, in_own_mounts},
    http, until,
};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};

use crate::talk::{Key, Manner, PATIENCE, TEAM, Talk, body, lost, reader, writer};

const STREAM: &str = "HUDDLE_LOG_0";
/// Files that a gateway may open: far fewer than there are clients.
const FILES_MAX: usize = 200;
/// A socket is served or refused within this time.
const QUICKLY: Duration = Duration::from_secs(5);
/// How long the crowd stays.
const CROWDED: Duration = Duration::from_secs(5);
/// What a gateway may say meanwhile.
const LINES_MAX: usize = 20;
const MORE_QUIETLY: usize = 100;
/// Room for the limit of the log, of which NATS promises three quarters.
const DISK_MEBIBYTES: u64 = 1024;
/// The longest body that there is.
const BODY_BYTES: usize = 4_000;
const MEBIBYTE: u64 = 1024 * 1024;
/// What the log may hold at first: about a thousand of the longest messages.
const SMALL_BYTES: u64 = 4 * MEBIBYTE;
/// And when an operator has raised it.
const LARGE_BYTES: u64 = 128 * MEBIBYTE;
/// Refusals that are looked at.
const REFUSALS: usize = 20;
const MORE: usize = 1_000;

const MANNER: Manner = Manner { writers: 8, in_flight: 16, body_bytes: BODY_BYTES, receipt: Receipt::Accepted };

#[tokio::test(flavor = "multi_thread")]
async fn f04_a_gateway_at_its_limit_of_open_files_refuses_sockets_with_503_and_serves_those_that_it_has() -> Result<()>
{
    let limit = format!("--nofile={FILES_MAX}:{FILES_MAX}");
    let gateway_wrapper = ["prlimit", &limit].map(OsString::from).to_vec();
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { gateway_wrapper, ..ClusterOptions::default() })).await?;
    let quiet = Manner { writers: 4, in_flight: 1, body_bytes: 100, receipt: Receipt::Stored };
    let mut talk = Talk::start(&cluster, cluster.gateways.len(), quiet).await?;
    talk.receipts(1).await?;

    let mut held = Vec::new();
    let refusal = loop {
        ensure!(held.len() < FILES_MAX, "more clients than files");
        match timeout(QUICKLY, client_of(&cluster, 0)).await {
            Ok(Ok(client)) => held.push(client),
            Ok(Err(refusal)) => break refusal,
            Err(_) => bail!("client {} is neither served nor refused", held.len()),
        }
    };
    ensure!(format!("{refusal:#}").contains("503"), "refused otherwise: {refusal:#}");
    // Those who say nothing at all take no files either.
    let mut silent = Vec::new();
    let address = cluster.http_url(0).replacen("http://", "", 1);
    for _ in 0..2 * FILES_MAX {
        silent.push(timeout(QUICKLY, TcpStream::connect(&address)).await.context("not even a connection")??);
    }
    let said = cluster.gateways[0].process().output()?.lines().count();
    let receipts = talk.notes.receipts();
    let full = Instant::now();
    let mut refused = 0;
    while full.elapsed() < CROWDED {
        assert_is_alive(&cluster.gateways[0]).await?;
        let answer = timeout(QUICKLY, http::get(&format!("{}/v1/teams/{TEAM}", cluster.http_url(0)), None)).await;
        ensure!(answer.context("no answer")??.status == 503, "a socket more is served");
        refused += 1;
    }
    talk.receipts(receipts + MORE_QUIETLY).await?;
    for (client, _) in &held {
        timeout(PATIENCE, client.ping()).await.context("a client that was there is not served")??;
    }
    let counted = cluster.gateway_metrics(0).await?.sum("huddle_gateway_sockets_refused_total").unwrap_or_default();
    ensure!(counted >= f64::from(refused), "{counted} refusals are counted of {refused} and more");
    let more = cluster.gateways[0].process().output()?.lines().count() - said;
    ensure!(more < LINES_MAX, "{more} lines in the log within {CROWDED:?}");

    // What it needs for itself it still gets.
    cluster.nats.node(0).restart().await?;
    let restarted = Instant::now();
    talk.receipts(talk.notes.receipts() + MORE_QUIETLY).await?;
    let connected_again = restarted.elapsed();

    let crowd = held.len();
    drop((held, silent));
    let gone = Instant::now();
    let (client, frames) = until("a client is served again", PATIENCE, async || {
        Ok(timeout(QUICKLY, client_of(&cluster, 0)).await.ok().and_then(Result::ok))
    })
    .await?;
    println!(
        "{crowd} clients with {FILES_MAX} files, {counted} refused with 503, {more} lines in the log; log reached again \
         {connected_again:?} after NATS had restarted; a client is served {:?} after the crowd has gone",
        gone.elapsed()
    );
    drop((client, frames));
    talk.fall_silent().await?;
    cluster.wait_until_stored().await?;
    talk.assert_whole(&cluster).await?;
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_a_gateway_with_as_many_connections_as_it_may_have_refuses_more_with_503_until_one_ends() -> Result<()> {
    let settings = [("gateway.workers", "1"), ("gateway.connections_per_worker_max", "4")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster = Box::pin(Cluster::start(ClusterOptions { settings, ..ClusterOptions::default() })).await?;
    cluster.create_team(TEAM, &[&writer(0)]).await?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(client_of(&cluster, 0).await?);
    }
    let refusal = client_of(&cluster, 0).await.err().context("one more is served")?;
    ensure!(format!("{refusal:#}").contains("503"), "refused otherwise: {refusal:#}");
    let id = ClientId::parse("still-here")?;
    send(&held[0].0, &id, BODY_BYTES).await?;
    held.pop();
    until("a client is served again", PATIENCE, async || Ok(client_of(&cluster, 0).await.ok().map(drop))).await?;
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_log_at_its_max_bytes_refuses_sends_loses_nothing_and_goes_on_when_the_limit_is_raised() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { nats_nodes: 3, ..ClusterOptions::default() })).await?;
    limit_log(&mut cluster, SMALL_BYTES).await?;
    let mut talk = Talk::start(&cluster, cluster.gateways.len(), MANNER).await?;
    let (client, _frames) = client_of(&cluster, 0).await?;
    let refused =
        timeout(PATIENCE, until_refused(&client, &talk, "full", REFUSALS)).await.context("the log is never full")??;

    let accepted = talk.notes.positions();
    cluster.wait_until_stored().await?;
    let lost = lost(&accepted, &cluster.stored_events(TEAM).await?).len();
    ensure!(lost == 0, "{lost} of {} accepted are not stored while the log is full", accepted.len());
    assert_retries_are_answered(&cluster, &accepted, BODY_BYTES).await?;
    for gateway in &cluster.gateways {
        assert_is_alive(gateway).await?;
    }

    limit_log(&mut cluster, LARGE_BYTES).await?;
    let raised = Instant::now();
    talk.receipts(accepted.len() + 1).await?;
    let back = raised.elapsed();
    talk.receipts(accepted.len() + MORE).await?;
    for id in &refused {
        let accepted = send(&client, id, BODY_BYTES).await?;
        ensure!(!accepted.duplicate, "{id} was refused, and is in the log");
        talk.notes.add((writer(0), id.to_string()), accepted.seq.get());
    }
    talk.fall_silent().await?;
    cluster.wait_until_stored().await?;
    let in_all = talk.assert_whole(&cluster).await?;
    println!(
        "full after {} accepted; accepted again {back:?} after the limit was raised and persistence had restarted; {in_all} \
         in the end, none lost, none twice",
        accepted.len()
    );
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_sends_go_on_when_the_disk_of_the_leading_node_is_full_and_that_node_is_back_after_a_restart() -> Result<()>
{
    let name =
        "limits::f15_sends_go_on_when_the_disk_of_the_leading_node_is_full_and_that_node_is_back_after_a_restart";
    in_own_mounts(name, async || {
        // Dropped the other way round: no file goes before what uses it.
        let Filled { _files, disks, mut cluster, mut talk } = Box::pin(Filled::start(3)).await?;
        let leader = until_some_node_leads(&mut cluster).await?;
        disks[leader].fill()?;
        let accepted = talk.notes.receipts();
        let full = Instant::now();
        until("another node leads", PATIENCE, async || {
            let leads = cluster.leader_of(0).await?;
            Ok(leads.filter(|leads| *leads != leader))
        })
        .await?;
        talk.receipts(accepted + MORE).await?;
        let went_on = full.elapsed();
        let silence = talk.notes.longest_silence();
        until_unhealthy(&mut cluster, leader).await?;

        disks[leader].make_room()?;
        cluster.nats.node(leader).restart().await?;
        let restarted = Instant::now();
        cluster.nats.wait_until_ready().await?;
        talk.receipts(talk.notes.receipts() + MORE).await?;
        talk.fall_silent().await?;
        cluster.wait_until_stored().await?;
        // It holds what it has missed.
        let last = cluster.last_seq_as_seen_by((leader + 1) % 3, 0).await?;
        until("the node has caught up", PATIENCE, async || {
            Ok((cluster.last_seq_as_seen_by(leader, 0).await? == last).then_some(()))
        })
        .await?;
        let caught_up = restarted.elapsed();
        let in_all = talk.assert_whole(&cluster).await?;
        println!(
            "{accepted} accepted before the leader's disk was full; {MORE} more {went_on:?} later, no receipt for \
             {silence:?} at most; the node had caught up {caught_up:?} after its restart; {in_all} in the end, none lost, \
             none twice"
        );
        cluster.wait_until_ready().await?;
        Box::pin(cluster.finish()).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_full_disk_under_the_only_node_refuses_sends_and_after_its_restart_with_room_nothing_is_lost()
-> Result<()> {
    let name =
        "limits::f15_a_full_disk_under_the_only_node_refuses_sends_and_after_its_restart_with_room_nothing_is_lost";
    in_own_mounts(name, async || {
        // Dropped the other way round: no file goes before what uses it.
        let Filled { _files, disks, mut cluster, mut talk } = Box::pin(Filled::start(1)).await?;
        disks[0].fill()?;
        let (client, _frames) = client_of(&cluster, 0).await?;
        let refused = timeout(PATIENCE, until_refused(&client, &talk, "", 1)).await.context("nothing is refused")??;
        until_unhealthy(&mut cluster, 0).await?;
        let accepted = talk.notes.positions();
        cluster.wait_until_stored().await?;
        let lost = lost(&accepted, &cluster.stored_events(TEAM).await?).len();
        ensure!(lost == 0, "{lost} of {} accepted are not stored while the disk is full", accepted.len());
        assert_retries_are_answered(&cluster, &accepted, BODY_BYTES).await?;
        for gateway in &cluster.gateways {
            assert_is_alive(gateway).await?;
        }

        disks[0].make_room()?;
        // Room alone does not help: nats-server gives up its stream until it starts again.
        cluster.nats.node(0).restart().await?;
        let restarted = Instant::now();
        talk.receipts(accepted.len() + 1).await?;
        let back = restarted.elapsed();
        talk.receipts(accepted.len() + MORE).await?;
        for id in &refused {
            // It may be in the log: what was answered is that nobody knows.
            let accepted = send(&client, id, BODY_BYTES).await?;
            talk.notes.add((writer(0), id.to_string()), accepted.seq.get());
        }
        talk.fall_silent().await?;
        cluster.wait_until_stored().await?;
        let in_all = talk.assert_whole(&cluster).await?;
        println!(
            "{} accepted before the disk was full; again {back:?} after the restart; {in_all} in the end, none lost, none \
             twice",
            accepted.len()
        );
        cluster.wait_until_ready().await?;
        Box::pin(cluster.finish()).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_stream_that_is_deleted_is_made_anew_above_and_everybody_goes_on_with_their_cursors() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { nats_nodes: 3, ..ClusterOptions::default() })).await?;
    let manner = Manner { body_bytes: 100, ..MANNER };
    let mut talk = Talk::start(&cluster, cluster.gateways.len(), manner).await?;
    talk.receipts(MORE).await?;
    // Nobody who deletes a stream gets back what is in it alone.
    talk.hold().await?;
    cluster.wait_until_stored().await?;
    let before = talk.notes.positions();
    let highest = before.values().copied().max().unwrap_or_default();

    cluster.jetstream(&format!("STREAM.DELETE.{STREAM}"), "").await?;
    talk.go_on();
    let deleted = Instant::now();
    talk.receipts(before.len() + 1).await?;
    let back = deleted.elapsed();
    talk.receipts(before.len() + MORE).await?;
    talk.fall_silent().await?;

    let after: Vec<u64> =
        talk.notes.positions().iter().filter(|(key, _)| !before.contains_key(*key)).map(|(_, seq)| *seq).collect();
    let lowest = after.iter().copied().min().unwrap_or_default();
    ensure!(lowest > highest + 1_000_000, "positions go on at {lowest} after {highest}");
    assert_retries_are_answered(&cluster, &before, manner.body_bytes).await?;
    let middle = before.values().copied().nth(before.len() / 2).unwrap_or_default();
    talk.read(&cluster, 1, &reader(0), Seq::new(middle))?;
    cluster.wait_until_stored().await?;
    let in_all = talk.assert_whole(&cluster).await?;
    println!(
        "{} accepted before the stream was deleted, {in_all} in the end, none lost, none twice; accepted again after \
         {back:?}; positions go on {} above",
        before.len(),
        lowest - highest
    );
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await
}

/// A deployment whose nodes of NATS have disks of their own, and people who talk.
struct Filled {
    cluster: Cluster,
    talk: Talk,
    disks: Vec<Disk>,
    _files: TempDir,
}

impl Filled {
    async fn start(nats_nodes: usize) -> Result<Self> {
        let files = tempfile::Builder::new().prefix("huddle-full-").tempdir()?;
        let disk = |number: usize| {
            let image = files.path().join(format!("n{number}.img"));
            Disk::mount(&image, &files.path().join(format!("n{number}")), DISK_MEBIBYTES)
        };
        let disks = (1..=nats_nodes).map(disk).collect::<Result<_>>()?;
        let nats_data = Some(files.path().to_owned());
        let cluster = Cluster::start(ClusterOptions { nats_nodes, nats_data, ..ClusterOptions::default() }).await?;
        let mut talk = Talk::start(&cluster, cluster.gateways.len(), MANNER).await?;
        talk.receipts(MORE).await?;
        Ok(Self { cluster, talk, disks, _files: files })
    }
}

async fn until_some_node_leads(cluster: &mut Cluster) -> Result<usize> {
    until("a node leads", PATIENCE, async || cluster.leader_of(0).await).await
}

/// Waits until the node says that it is not healthy, which is what has it started again where somebody watches over it.
async fn until_unhealthy(cluster: &mut Cluster, node: usize) -> Result<()> {
    let health = format!("http://127.0.0.1:{}/healthz", cluster.nats.node(node).monitor_port());
    until("the node says that it is not healthy", PATIENCE, async || {
        Ok((http::get(&health, None).await?.status == 503).then_some(()))
    })
    .await
}

/// What an operator does to give the log another limit: the stream is edited, then the configuration, and persistence starts
/// again.
async fn limit_log(cluster: &mut Cluster, bytes: u64) -> Result<()> {
    let mut config = cluster.jetstream(&format!("STREAM.INFO.{STREAM}"), "").await?["config"].clone();
    config["max_bytes"] = bytes.into();
    cluster.jetstream(&format!("STREAM.UPDATE.{STREAM}"), &config.to_string()).await?;
    let text = fs::read_to_string(cluster.config())?;
    let is_limit = |line: &&str| line.starts_with("max_bytes");
    let present = text.lines().find(is_limit).context("no limit in the configuration")?.to_owned();
    fs::write(cluster.config(), text.replace(&present, &format!("max_bytes = {bytes}")))?;
    for replica in &mut cluster.persistence {
        replica.terminate().await?;
        replica.restart().await?;
    }
    Ok(())
}

async fn client_of(cluster: &Cluster, gateway: usize) -> Result<(Client, huddle_client::IncomingFrames)> {
    Ok(Box::pin(Client::connect(&cluster.client_options(gateway, &writer(0), Encoding::Json)?)).await?)
}

async fn send(client: &Client, id: &ClientId, bytes: usize) -> Result<Accepted, RequestError> {
    let team = TeamId::parse(TEAM).expect("a team's id");
    client.send(&team, id, body(id.as_str(), bytes)).await
}

/// Sends until enough is refused, and holds each refusal to its words. Returns what was refused.
async fn until_refused(client: &Client, talk: &Talk, why: &str, count: usize) -> Result<Vec<ClientId>> {
    let mut refused = Vec::new();
    for number in 0.. {
        let id = ClientId::parse(&format!("probe-{number}"))?;
        match send(client, &id, BODY_BYTES).await {
            Ok(accepted) => talk.notes.add((writer(0), id.to_string()), accepted.seq.get()),
            Err(RequestError::Refused(refusal)) => {
                ensure!(refusal.code == ErrorCode::Unavailable && refusal.code.is_retryable(), "{refusal}");
                ensure!(refusal.message.contains(why), "{refusal}");
                refused.push(id);
            }
            Err(error) => return Err(error.into()),
        }
        if refused.len() == count {
            break;
        }
    }
    Ok(refused)
}

/// What was accepted and is sent once more is where it was.
async fn assert_retries_are_answered(cluster: &Cluster, before: &BTreeMap<Key, u64>, bytes: usize) -> Result<()> {
    let (client, _frames) = client_of(cluster, 1).await?;
    let own = before.iter().filter(|((user, id), _)| *user == writer(0) && id.starts_with(user.as_str()));
    for ((_, id), seq) in own.take(REFUSALS) {
        let accepted = send(&client, &ClientId::parse(id)?, bytes).await?;
        ensure!(accepted.duplicate && accepted.seq.get() == *seq, "a retry of {id} at {seq}: {accepted:?}");
    }
    Ok(())
}

async fn assert_is_alive(service: &Service) -> Result<()> {
    let health = http::get(&format!("{}/healthz", service.admin_url()), None).await?;
    ensure!(health.status == 200, "{} is not alive: {}", service.name(), health.body);
    Ok(())
}
