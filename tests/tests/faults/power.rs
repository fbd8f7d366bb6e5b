//! All servers of a kind lose power at once: what was acknowledged is there when it comes back, and with settings that do
//! not sync it is not, which shows that these tests can see a loss.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use huddle_client::{Client, Encoding, Receipt, RequestError};
use huddle_devstack::{Durability, Nats, NatsOptions, PostgresOptions, Tools};
use huddle_domain::{Body, ClientId, EventKind, NewEvent, Partition, Seq, TeamId, UserId};
use huddle_log::{Condition, EntryContent, Log, LogError, Published};
use huddle_log_nats::{Config, NatsLog};
use huddle_proto::gateway::v1::ErrorCode;
use huddle_tests::{
    Cluster, ClusterOptions,
    faults::disk::{Disk, Signal, family, in_own_mounts, lose_power, signal},
    http, until,
};
use tokio::time::timeout;

use crate::talk::{Key, Manner, PATIENCE, TEAM, Talk, lost};

/// A few thousand sends under way.
const MANNER: Manner = Manner { writers: 16, in_flight: 128, body_bytes: 100, receipt: Receipt::Accepted };
const ACCEPTED_BEFORE: usize = 8_000;
const ACCEPTED_AFTER: usize = 4_000;
/// The power of Postgres goes when so many messages are stored.
const STORED_BEFORE: usize = 8_000;
/// Accepted while nothing is stored.
const UNSTORED: usize = 1_000;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Enough for a node's store: the stream, and the logs of Raft.
const DISK_MEBIBYTES: u64 = 1024;
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Who publishes straight into the log, at once.
const PUBLISHERS: usize = 8;
/// What each has under way.
const IN_FLIGHT: usize = 64;
/// The power goes when this much has been acknowledged.
const ACKNOWLEDGED_BEFORE: usize = 8_000;
/// And this much more shows that the log goes on.
const ACKNOWLEDGED_AFTER: usize = 1_000;

const PARTITION: Partition = Partition::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_log_loses_nothing_that_it_acknowledged_when_all_nodes_lose_power() -> Result<()> {
    let name = "power::f12_the_log_loses_nothing_that_it_acknowledged_when_all_nodes_lose_power";
    in_own_mounts(name, async || {
        let mut log = LogUnderLoad::start(Durability::Synced).await?;
        let before = log.lose_power().await?;
        let back = Instant::now();
        let goes_on = async || Ok((log.load.count() >= before + ACKNOWLEDGED_AFTER).then_some(()));
        until("the log acknowledges again", PATIENCE, goes_on).await?;
        let outage = log.load.longest_silence();
        let Ending { acknowledged, lost, entries } = log.end().await?;
        println!(
            "{before} acknowledged before the cut, {acknowledged} in all, {lost} lost, {entries} in the log; nothing was \
             acknowledged for {outage:?}; {ACKNOWLEDGED_AFTER} more {:?} after the nodes were ready",
            back.elapsed()
        );
        ensure!(lost == 0, "{lost} of {acknowledged} acknowledged events are not in the log");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_default_configuration_of_nats_loses_what_it_acknowledged() -> Result<()> {
    let name = "power::f12_the_default_configuration_of_nats_loses_what_it_acknowledged";
    in_own_mounts(name, async || {
        let mut log = LogUnderLoad::start(Durability::Relaxed).await?;
        let before = log.lose_power().await?;
        let Ending { acknowledged, lost, entries } = log.end().await?;
        println!("{before} acknowledged before the cut, {acknowledged} in all, {lost} lost, {entries} in the log");
        ensure!(lost > 0, "nothing of {acknowledged} acknowledged events is lost: the power was not really cut");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_everything_is_up_again_by_itself_and_whole_after_all_nodes_of_nats_lost_power() -> Result<()> {
    let name = "power::f12_everything_is_up_again_by_itself_and_whole_after_all_nodes_of_nats_lost_power";
    in_own_mounts(name, async || {
        let files = tempfile::Builder::new().prefix("huddle-power-").tempdir()?;
        let mut disks = disks_for(files.path(), &NODES)?;
        let mut cluster = Box::pin(Cluster::start(on_disks(files.path(), Durability::Synced))).await?;
        let mut talk = Talk::start(&cluster, cluster.gateways.len(), MANNER).await?;
        talk.receipts(ACCEPTED_BEFORE).await?;
        let Cut { before, down } = lose_power_of_nats(&mut cluster, &mut disks, &talk).await?;
        let ready = Instant::now();
        let at_the_cut = talk.notes.receipts();
        talk.receipts(at_the_cut + 1).await?;
        let back = ready.elapsed();
        talk.receipts(at_the_cut + ACCEPTED_AFTER).await?;
        talk.fall_silent().await?;
        cluster.wait_until_stored().await?;
        let silence = talk.notes.longest_silence();
        let messages = talk.assert_whole(&cluster).await?;
        println!(
            "{} accepted before the cut, {messages} in all, none lost, none twice; the nodes were down for \
             {down:?}, receipts came again {back:?} after they were ready; the longest time without one: {silence:?}",
            before.len()
        );
        cluster.wait_until_ready().await?;
        Box::pin(cluster.finish()).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_default_configuration_of_nats_loses_what_is_not_stored_yet_and_no_position_is_used_twice() -> Result<()>
{
    let name =
        "power::f12_the_default_configuration_of_nats_loses_what_is_not_stored_yet_and_no_position_is_used_twice";
    in_own_mounts(name, async || {
        let files = tempfile::Builder::new().prefix("huddle-power-").tempdir()?;
        let mut disks = disks_for(files.path(), &NODES)?;
        let mut cluster = Box::pin(Cluster::start(on_disks(files.path(), Durability::Relaxed))).await?;
        let mut talk = Talk::start(&cluster, cluster.gateways.len(), MANNER).await?;
        talk.receipts(ACCEPTED_BEFORE).await?;
        // The store is a little behind, as under load it may be.
        for replica in &mut cluster.persistence {
            replica.process().pause()?;
        }
        let paused_at = talk.notes.receipts();
        talk.receipts(paused_at + UNSTORED).await?;
        let Cut { before, down } = lose_power_of_nats(&mut cluster, &mut disks, &talk).await?;
        let ready = Instant::now();
        let at_the_cut = talk.notes.receipts();
        talk.receipts(at_the_cut + ACCEPTED_AFTER).await?;
        let back = ready.elapsed();
        talk.fall_silent().await?;
        cluster.wait_until_stored().await?;

        let all = talk.notes.positions();
        let stored = cluster.stored_events(TEAM).await?;
        let lost = lost(&all, &stored);
        println!(
            "{} accepted before the cut, {} in all, {} lost; the nodes were down for {down:?}, {ACCEPTED_AFTER} more were \
             accepted {back:?} after they were ready",
            before.len(),
            all.len(),
            lost.len()
        );
        ensure!(!lost.is_empty(), "nothing is lost: the power was not really cut");
        ensure!(lost.iter().all(|(key, _)| before.contains_key(key)), "what was accepted after the cut is lost as well");
        let positions: BTreeSet<u64> = all.values().copied().collect();
        ensure!(positions.len() == all.len(), "{} positions were used twice", all.len() - positions.len());
        cluster.wait_until_ready().await?;
        Box::pin(cluster.finish()).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_log_that_came_back_without_its_end_takes_nothing_until_it_is_deleted_and_no_position_is_used_twice()
-> Result<()> {
    let name = "power::f12_a_log_that_came_back_without_its_end_takes_nothing_until_it_is_deleted_and_no_position_is_used_twice";
    in_own_mounts(name, async || {
        let files = tempfile::Builder::new().prefix("huddle-power-").tempdir()?;
        let mut disks = disks_for(files.path(), &NODES)?;
        let mut cluster = Box::pin(Cluster::start(on_disks(files.path(), Durability::Relaxed))).await?;
        let mut talk = Talk::start(&cluster, cluster.gateways.len(), MANNER).await?;
        talk.receipts(ACCEPTED_BEFORE / 4).await?;
        // The kernel writes back what is half a minute old, and a log that is older than that comes back.
        disks.iter().try_for_each(Disk::write_back)?;
        talk.receipts(ACCEPTED_BEFORE).await?;
        let Cut { before, .. } = lose_power_of_nats(&mut cluster, &mut disks, &talk).await?;
        let end = cluster.jetstream("STREAM.INFO.HUDDLE_LOG_0", "").await?["state"]["last_seq"].as_u64();
        let stored = cluster.stored_events(TEAM).await?.last().map(|event| event.seq);
        ensure!(end < stored, "the log ends at {end:?}, {stored:?} is stored: it has lost nothing");

        for service in cluster.gateways.iter().chain(&cluster.persistence) {
            service.wait_until_not_ready(PATIENCE).await?;
        }
        let owner_says = until("persistence says what to do", PATIENCE, async || {
            let mut said = String::new();
            for replica in &cluster.persistence {
                said.push_str(&http::get(&format!("{}/readyz", replica.admin_url()), None).await?.body);
            }
            Ok(said.contains("nats stream rm HUDDLE_LOG_0").then_some(said))
        });
        owner_says.await?;
        let (client, _frames) = Box::pin(Client::connect(&cluster.client_options(0, "writer-0", Encoding::Json)?)).await?;
        let (team, id) = (TeamId::parse(TEAM)?, ClientId::parse("probe")?);
        let probe = timeout(PATIENCE, client.send(&team, &id, "anybody there?")).await?;
        let Err(RequestError::Refused(refusal)) = probe else { bail!("a log without its end takes {probe:?}") };
        ensure!(refusal.code == ErrorCode::Unavailable, "{refusal}");
        let accepted = talk.notes.positions().len() - before.len();
        ensure!(accepted == 0, "{accepted} were accepted by a log without its end");

        cluster.jetstream("STREAM.DELETE.HUDDLE_LOG_0", "").await?;
        let deleted = Instant::now();
        talk.receipts(before.len() + 1).await?;
        let back = deleted.elapsed();
        talk.receipts(before.len() + ACCEPTED_AFTER).await?;
        talk.fall_silent().await?;
        cluster.wait_until_stored().await?;
        let all = talk.notes.positions();
        let lost = lost(&all, &cluster.stored_events(TEAM).await?);
        ensure!(lost.iter().all(|(key, _)| before.contains_key(key)), "what was accepted after the cut is lost as well");
        let positions: BTreeSet<u64> = all.values().copied().collect();
        ensure!(positions.len() == all.len(), "{} positions were used twice", all.len() - positions.len());
        println!(
            "{} accepted before the cut, {} in all, {} lost; the log came back at {end:?}, {stored:?} was stored; accepted \
             again {back:?} after the log was deleted",
            before.len(),
            all.len(),
            lost.len()
        );
        cluster.wait_until_ready().await?;
        Box::pin(cluster.finish()).await
    })
    .await
}

/// A power cut that is over.
struct Cut {
    /// What was accepted before it, and where.
    before: BTreeMap<Key, u64>,
    /// From the cut until the nodes could be used again.
    down: Duration,
}

/// Cuts the power of all nodes of NATS at one moment, and lets them start again.
async fn lose_power_of_nats(cluster: &mut Cluster, disks: &mut [Disk], talk: &Talk) -> Result<Cut> {
    let pids: BTreeSet<u32> = (0..NODES.len()).map(|index| cluster.nats.node(index).pid()).collect();
    let began = Instant::now();
    lose_power(disks, &pids)?;
    cluster.nats.kill9()?;
    for replica in &mut cluster.persistence {
        // Where a test has paused it.
        replica.process().resume()?;
    }
    disks.iter_mut().try_for_each(Disk::come_back)?;
    let before = talk.notes.positions();
    cluster.nats.restart().await?;
    Ok(Cut { before, down: began.elapsed() })
}

fn on_disks(files: &Path, nats_durability: Durability) -> ClusterOptions {
    let nats_data = Some(files.to_owned());
    ClusterOptions { nats_nodes: NODES.len(), nats_data, nats_durability, ..ClusterOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_every_row_that_was_committed_is_there_after_postgres_lost_power() -> Result<()> {
    let name = "power::f26_every_row_that_was_committed_is_there_after_postgres_lost_power";
    // A server whose own default would not wait for the disk: whoever writes insists.
    let settings = [("synchronous_commit", "off")];
    in_own_mounts(name, async || {
        let cut = Box::pin(lose_power_of_postgres(Durability::Synced, &settings)).await?;
        ensure!(cut.lost == 0, "{} of {} that were said to be stored are not there", cut.lost, cut.receipts);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_a_postgres_that_does_not_sync_loses_rows_and_gets_them_from_the_log_again() -> Result<()> {
    let name = "power::f26_a_postgres_that_does_not_sync_loses_rows_and_gets_them_from_the_log_again";
    in_own_mounts(name, async || {
        let cut = Box::pin(lose_power_of_postgres(Durability::Relaxed, &[])).await?;
        ensure!(cut.lost > 0, "nothing of {} stored is lost: the power was not really cut", cut.receipts);
        Ok(())
    })
    .await
}

/// What was found in Postgres before anybody could write to it again.
struct CutOfPostgres {
    /// Messages that were said to be stored.
    receipts: usize,
    /// Of those, how many have no row.
    lost: usize,
}

/// Cuts the power of Postgres while messages are stored, looks into what it has kept, then lets everything go on and
/// checks that history is whole in the end.
async fn lose_power_of_postgres(durability: Durability, settings: &[(&str, &str)]) -> Result<CutOfPostgres> {
    let files = tempfile::Builder::new().prefix("huddle-power-").tempdir()?;
    // Who does not run as root has to get there.
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755))?;
    let mut disks = disks_for(files.path(), &["postgres"])?;
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let data_dir = Some(disks[0].directory().to_owned());
    let postgres = PostgresOptions { data_dir, durability, settings, ..PostgresOptions::default() };
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { postgres, ..ClusterOptions::default() })).await?;
    if durability == Durability::Relaxed {
        // What was there before the talk is on the disk: a server can start from it.
        disks[0].write_back()?;
    }
    let manner = Manner { receipt: Receipt::Stored, ..MANNER };
    let mut talk = Talk::start(&cluster, cluster.gateways.len(), manner).await?;
    talk.receipts(STORED_BEFORE).await?;

    let down = Instant::now();
    let pids = family(cluster.postgres.pid())?;
    lose_power(&disks, &pids)?;
    // What was said to be stored up to here counts. Nobody says it of anything else before Postgres is back.
    for replica in &mut cluster.persistence {
        replica.process().pause()?;
    }
    let said = talk.notes.positions();
    cluster.postgres.kill9()?;
    for pid in pids.iter().filter(|pid| **pid != cluster.postgres.pid()) {
        signal(*pid, Signal::KILL)?;
    }
    disks[0].come_back()?;
    cluster.postgres.restart().await?;
    let lost = lost(&said, &cluster.stored_events(TEAM).await?).len();
    let down = down.elapsed();

    for replica in &mut cluster.persistence {
        replica.process().resume()?;
    }
    let ready = Instant::now();
    let at_the_cut = talk.notes.receipts();
    talk.receipts(at_the_cut + 1).await?;
    let back = ready.elapsed();
    talk.receipts(at_the_cut + ACCEPTED_AFTER).await?;
    talk.fall_silent().await?;
    cluster.wait_until_stored().await?;
    let messages = talk.assert_whole(&cluster).await?;
    println!(
        "{} stored before the cut, {lost} of them lost by Postgres; {messages} in the end, none lost, none twice; Postgres \
         was down for {down:?}, second receipts came again {back:?} after persistence could go on",
        said.len()
    );
    cluster.wait_until_ready().await?;
    Box::pin(cluster.finish()).await?;
    Ok(CutOfPostgres { receipts: said.len(), lost })
}

/// Three nodes of NATS, each on a disk of its own, and publishers that never stop.
struct LogUnderLoad {
    load: Arc<Load>,
    publishers: tokio::task::JoinSet<()>,
    log: Arc<NatsLog>,
    nats: Nats,
    disks: Vec<Disk>,
    _files: tempfile::TempDir,
}

/// What was found in the end.
struct Ending {
    acknowledged: usize,
    /// Of those, how many are not at their position in the log.
    lost: usize,
    entries: usize,
}

impl LogUnderLoad {
    /// Returns when enough is acknowledged for a power cut.
    async fn start(durability: Durability) -> Result<Self> {
        let tools = Tools::locate()?;
        let files = tempfile::Builder::new().prefix("huddle-power-").tempdir()?;
        let disks = disks_for(files.path(), &NODES)?;
        let options = NatsOptions { data_dir: Some(files.path().to_owned()), durability, ..NatsOptions::cluster() };
        let nats = Nats::start(&tools, options).await?;
        let config = Config {
            servers: nats.urls(),
            replicas: 3,
            max_bytes: huddle_service::config::ByteCount::new(LOG_BYTES_MAX),
            ..Config::default()
        };
        let log = Arc::new(NatsLog::connect(config).await?);
        log.prepare(PARTITION, Seq::ZERO).await?;
        let load = Arc::new(Load::default());
        let publish = |publisher| Load::run(Arc::clone(&load), Arc::clone(&log), publisher);
        let publishers = (0..PUBLISHERS).map(publish).collect();
        until("enough is acknowledged", PATIENCE, async || Ok((load.count() >= ACKNOWLEDGED_BEFORE).then_some(())))
            .await?;
        Ok(Self { load, publishers, log, nats, disks, _files: files })
    }

    /// Cuts the power of all nodes, under load, and lets them start again. Returns how much was acknowledged before.
    async fn lose_power(&mut self) -> Result<usize> {
        let pids: BTreeSet<u32> = (0..NODES.len()).map(|index| self.nats.node(index).pid()).collect();
        lose_power(&self.disks, &pids)?;
        self.nats.kill9()?;
        let before = self.load.count();
        self.disks.iter_mut().try_for_each(Disk::come_back)?;
        self.nats.restart().await?;
        Ok(before)
    }

    async fn end(mut self) -> Result<Ending> {
        self.publishers.shutdown().await;
        let found = self.entries().await?;
        let acknowledged = self.load.acknowledged.lock().expect("no publisher panics").clone();
        let is_lost = |(key, seq): &(&String, &Seq)| found.get(*seq) != Some(*key);
        let lost = acknowledged.iter().filter(is_lost).count();
        let keys: BTreeSet<&String> = found.values().collect();
        ensure!(keys.len() == found.len(), "{} events are in the log twice", found.len() - keys.len());
        Ok(Ending { acknowledged: acknowledged.len(), lost, entries: found.len() })
    }

    /// What the log holds: the key at each position. A log that is gone holds nothing.
    async fn entries(&self) -> Result<HashMap<Seq, String>> {
        let mut found = HashMap::new();
        let last = match self.log.last_seq(&TeamId::parse(TEAM)?).await {
            Ok(Some(last)) => last,
            Ok(None) | Err(LogError::Missing { .. }) => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        let mut entries = self.log.read(PARTITION, Seq::ZERO).await?;
        loop {
            let entry = timeout(PATIENCE, entries.next()).await.context("the log is not read to its end")?;
            let entry = entry.context("reading ended")??;
            let EntryContent::Event(event) = entry.content else { bail!("{entry:?}") };
            found.insert(entry.seq, event.client_id.to_string());
            if entry.seq >= last {
                return Ok(found);
            }
        }
    }
}

/// What the publishers know.
#[derive(Default)]
struct Load {
    count: AtomicUsize,
    acknowledged: Mutex<HashMap<String, Seq>>,
    times: Mutex<Vec<Instant>>,
}

impl Load {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Publishes without end. What the log does not answer in time is published again, under its key.
    async fn run(self: Arc<Self>, log: Arc<NatsLog>, publisher: usize) {
        let mut under_way = FuturesUnordered::new();
        for number in 0.. {
            let key = format!("{publisher}-{number}");
            under_way.push(publish(&log, key));
            if under_way.len() >= IN_FLIGHT
                && let Some((key, Published { seq, .. })) = under_way.next().await
            {
                self.acknowledged.lock().expect("no publisher panics").insert(key, seq);
                self.times.lock().expect("no publisher panics").push(Instant::now());
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn longest_silence(&self) -> Duration {
        let times = self.times.lock().expect("no publisher panics");
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

async fn publish(log: &NatsLog, key: String) -> (String, Published) {
    let event = NewEvent {
        team: TeamId::parse(TEAM).expect("a team's id"),
        sender: UserId::parse("publisher").expect("a user's id"),
        client_id: ClientId::parse(&key).expect("a key"),
        kind: EventKind::posted(Body::parse(&format!("{key:200}")).expect("a body")),
    };
    loop {
        let outcome = async { log.publish(event.clone(), Condition::None).await?.await };
        if let Ok(published) = outcome.await {
            return (key, published);
        }
    }
}

/// A disk for the store of each node, where the node looks for it.
fn disks_for(files: &Path, names: &[&str]) -> Result<Vec<Disk>> {
    let disk = |name: &&str| Disk::mount(&files.join(format!("{name}.img")), &files.join(name), DISK_MEBIBYTES);
    names.iter().map(disk).collect()
}
