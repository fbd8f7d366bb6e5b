//! All backends of a kind lose power at once: what was acknowledged is there when it comes back, and with settings that do
//! not sync it is not, which shows that these tests can see a loss.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use huddle_devstack::{Durability, Nats, NatsOptions, Tools};
use huddle_domain::{Body, ClientId, EventKind, NewEvent, Partition, Seq, TeamId, UserId};
use huddle_log::{Condition, EntryContent, Log, LogError, Published};
use huddle_log_nats::{Config, NatsLog};
use huddle_tests::{
    faults::disk::{Disk, in_own_mounts, lose_power},
    until,
};
use tokio::time::timeout;

const TEAM: &str = "team";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Enough for a node's store: the stream, and the logs of Raft.
const DISK_MEBIBYTES: u64 = 256;
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_mins(1);

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
            let EntryContent::Event(event) = entry.content else { anyhow::bail!("{entry:?}") };
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
