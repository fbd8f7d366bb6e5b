//! Owns a whole deployment on this machine: NATS, Postgres and the processes of `huddle`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use huddle_devstack::{Durability, Nats, NatsOptions, Postgres, PostgresOptions, Tools};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Access, SECRET, SERVICE_TOKEN,
    binary::huddle,
    faults::wire::Wires,
    log_state::{self, StreamState},
    nats_request::{self, Asker},
    service::{LOG_LINES_OF_A_FAILURE, Role, Service, ServiceOptions},
    sql::Database,
    wait::until,
    wiring::Wiring,
};

/// Of the user `system` of NATS.
const SYSTEM_PASSWORD: &str = "the password of the end-to-end tests";
const STORED_TIMEOUT: Duration = Duration::from_mins(1);

/// Clusters measure time and use all processors: one at a time within a test program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What to start.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Processes of `huddle gateway`.
    pub gateways: usize,
    /// Processes of `huddle persistence`.
    pub persistence: usize,
    /// Partitions of the log.
    pub partitions: u16,
    /// Nodes of NATS, 1 or 3, each with a copy of the log.
    pub nats_nodes: usize,
    /// Settings of all processes of `huddle`, such as `("gateway.drain", "1s")`.
    pub settings: Vec<(String, String)>,
    /// Whether each connection between two processes, and between two nodes of NATS, goes through a wire of its own.
    pub wired: bool,
    /// What single processes have of their own, by name: `gateway-0`, `persistence-1`, `history-0`, `directory-0`.
    pub processes: BTreeMap<String, ProcessOptions>,
    /// A command, with arguments, that becomes each gateway, such as `prlimit`; none if empty.
    pub gateway_wrapper: Vec<OsString>,
    /// The directory with the data of NATS, each node's below its name; one that goes with the cluster if `None`.
    pub nats_data: Option<PathBuf>,
    /// What NATS does before it acknowledges.
    pub nats_durability: Durability,
    /// What Postgres is started with.
    pub postgres: PostgresOptions,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            gateways: 2,
            persistence: 2,
            partitions: 1,
            nats_nodes: 1,
            settings: Vec::new(),
            wired: false,
            processes: BTreeMap::new(),
            gateway_wrapper: Vec::new(),
            nats_data: None,
            nats_durability: Durability::Synced,
            postgres: PostgresOptions::for_tests(),
        }
    }
}

/// What one process of a cluster has of its own.
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    /// Settings on top of those of all.
    pub settings: Vec<(String, String)>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// A command, with arguments, that becomes the process; none if empty.
    pub wrapper: Vec<OsString>,
}

/// An entry of the log that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct DeadLetter {
    /// Of the log.
    pub partition: u16,
    /// Its position.
    pub seq: u64,
    /// Whose it is, where that can be told.
    pub team: Option<String>,
    /// Why it could not be applied.
    pub reason: String,
    /// Its bytes, in hexadecimal digits.
    pub payload_hex: String,
}

/// A running deployment. Every process ends when it is dropped, on a panic too.
#[derive(Debug)]
pub struct Cluster {
    /// The gateways.
    pub gateways: Vec<Service>,
    /// The replicas of persistence.
    pub persistence: Vec<Service>,
    /// The one history service.
    pub history: Service,
    /// The one directory service.
    pub directory: Service,
    /// NATS.
    pub nats: Nats,
    /// Postgres.
    pub postgres: Postgres,
    wires: Wires,
    access: Access,
    config: PathBuf,
    expected_dead_letters: BTreeSet<(u16, u64)>,
    finished: bool,
    // After the processes: fields are dropped in this order.
    _files: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts everything and waits until all of it is ready. Waits for its turn when another cluster of this program
    /// runs.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let turn = ONE_AT_A_TIME.lock().await;
        let tools = Tools::locate()?;
        let files = tempfile::Builder::new().prefix("huddle-cluster-").tempdir()?;
        let mut wiring = Wiring::new(options.wired);
        let nats_options = NatsOptions {
            nodes: options.nats_nodes,
            data_dir: Some(options.nats_data.clone().unwrap_or_else(|| files.path().join("nats"))),
            durability: options.nats_durability,
            system_password: options.wired.then(|| SYSTEM_PASSWORD.to_owned()),
            routes: wiring.routes(options.nats_nodes)?,
            ..NatsOptions::default()
        };
        let (mut nats, postgres) =
            tokio::try_join!(Nats::start(&tools, nats_options), Postgres::start(&tools, options.postgres.clone()))?;
        let url = postgres.create_database("huddle").await?;
        wiring.backends(&mut nats, &postgres, &url)?;
        let config = files.path().join("huddle.toml");
        fs::write(&config, configuration(&options, &nats, &url)).context("cannot write the configuration")?;
        let logs = files.path().join("logs");
        let mut options_of = |role: Role, index: usize, upstream: &[(&str, &Service)]| {
            let mut service = ServiceOptions::new(role, index, config.clone(), logs.clone());
            let name = role.name_of(index);
            service.settings = wiring.settings_of_backends(&name)?;
            for (setting, other) in upstream {
                let url = wiring.url_for(&name, other.name(), other.http_url())?;
                service.settings.push(((*setting).to_owned(), url));
            }
            service.settings.extend(options.settings.iter().cloned());
            if role == Role::Gateway {
                service.wrapper.clone_from(&options.gateway_wrapper);
            }
            if let Some(own) = options.processes.get(&name) {
                service.settings.extend(own.settings.iter().cloned());
                service.environment.clone_from(&own.environment);
                service.wrapper.extend(own.wrapper.iter().cloned());
            }
            anyhow::Ok(service)
        };

        migrate(&config).await?;
        let persistence = (0..options.persistence).map(|index| options_of(Role::Persistence, index, &[]));
        let persistence = persistence.collect::<Result<Vec<_>>>()?;
        let (history, directory, persistence) = tokio::try_join!(
            Service::start(options_of(Role::History, 0, &[])?),
            Service::start(options_of(Role::Directory, 0, &[])?),
            try_join_all(persistence.into_iter().map(Service::start)),
        )?;
        let upstream = [("gateway.history_url", &history), ("gateway.directory_url", &directory)];
        let gateways = (0..options.gateways).map(|index| options_of(Role::Gateway, index, &upstream));
        let gateways = gateways.collect::<Result<Vec<_>>>()?;
        let gateways = try_join_all(gateways.into_iter().map(Service::start)).await?;
        let wires = wiring.into_wires();

        let database = Database::at_url(&tools, url)?;
        let access = Access::new(&gateways, history.http_url(), directory.http_url(), database, files.path())?;
        Ok(Self {
            gateways,
            persistence,
            history,
            directory,
            nats,
            postgres,
            wires,
            access,
            config,
            expected_dead_letters: BTreeSet::new(),
            finished: false,
            _files: files,
            _turn: turn,
        })
    }

    /// The wires between its processes. Of a cluster that is not wired there are none.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// The configuration file that all processes of `huddle` share.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Which replica of persistence owns the partition; `None` while none does.
    pub async fn owner_of(&mut self, partition: u16) -> Result<Option<usize>> {
        let series = format!("huddle_persistence_owned{{partition=\"{partition}\"}}");
        for (index, replica) in self.persistence.iter_mut().enumerate() {
            if replica.process().is_running() && replica.metrics().await?.series(&series) == Some(1.0) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Which node of NATS says that it leads the partition; `None` while none does. For some seconds, one that is cut off
    /// from the others may say so too.
    pub async fn leader_of(&mut self, partition: u16) -> Result<Option<usize>> {
        for index in 0..self.nats.urls().len() {
            if self.leader_as_seen_by(index, partition).await? == Some(index) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Which node of NATS leads the partition in the eyes of the node `observer`; `None` while it knows of none, or does not
    /// run.
    pub async fn leader_as_seen_by(&mut self, observer: usize, partition: u16) -> Result<Option<usize>> {
        let leader = self.stream_as_seen_by(observer, partition).await?.and_then(|stream| stream.leader);
        Ok(leader.and_then(|leader| (0..self.nats.urls().len()).find(|index| self.nats.node(*index).name() == leader)))
    }

    /// The partition's last position in the copy of the node `observer`; `None` while it has none, or does not run.
    pub async fn last_seq_as_seen_by(&mut self, observer: usize, partition: u16) -> Result<Option<u64>> {
        Ok(self.stream_as_seen_by(observer, partition).await?.map(|stream| stream.last_seq))
    }

    async fn stream_as_seen_by(&mut self, observer: usize, partition: u16) -> Result<Option<StreamState>> {
        let node = self.nats.node(observer);
        if !node.is_running() {
            return Ok(None);
        }
        let streams = log_state::streams(node.monitor_port()).await?;
        Ok(streams.into_iter().find(|stream| stream.partition == partition))
    }

    /// Asks the node that leads the partition to let another one lead; node `asked` passes it on. Which one that is, and
    /// when, is for [`Cluster::leader_of`].
    pub async fn step_down(&mut self, asked: usize, partition: u16) -> Result<()> {
        let url = self.nats.node(asked).url();
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.HUDDLE_LOG_{partition}");
        nats_request::request(&url, Asker::Anybody, &subject, "").await.map(drop)
    }

    /// Asks the leader of NATS's meta group to let another node lead; node `asked` passes it on. Only a wired cluster lets a
    /// test do that.
    pub async fn step_down_meta(&mut self, asked: usize) -> Result<()> {
        let (url, system) = (self.nats.node(asked).url(), Asker::System(SYSTEM_PASSWORD));
        nats_request::request(&url, system, "$JS.API.META.LEADER.STEPDOWN", "").await.map(drop)
    }

    /// Asks JetStream's API, past Huddle, as an operator does; `subject` is what follows `$JS.API.`.
    pub async fn jetstream(&self, subject: &str, payload: &str) -> Result<serde_json::Value> {
        nats_request::request(&self.nats.url(), Asker::Anybody, &format!("$JS.API.{subject}"), payload).await
    }

    /// Appends `payload` as it is to a partition of the log, past Huddle, where the events of `team` are; `team` need not be
    /// one. Once, under `message_id`. Returns its position.
    pub async fn append_raw(&self, partition: u16, team: &str, message_id: &str, payload: &[u8]) -> Result<u64> {
        let subject = format!("huddle.log.{partition}.{team}");
        nats_request::append(&self.nats.url(), &subject, message_id, payload).await
    }

    /// What could not be applied, in the order of the log.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        const QUERY: &str = "SELECT partition, seq, team_id AS team, reason, encode(payload, 'hex') AS payload_hex \
                             FROM dead_letters ORDER BY partition, seq";
        self.rows(QUERY).await
    }

    /// Says that [`Cluster::finish`] has to find a dead letter at this place.
    pub fn expect_dead_letter(&mut self, partition: u16, seq: u64) {
        self.expected_dead_letters.insert((partition, seq));
    }

    async fn ensure_expected_dead_letters(&self) -> Result<()> {
        let letters = self.dead_letters().await?;
        let found: BTreeSet<_> = letters.iter().map(|letter| (letter.partition, letter.seq)).collect();
        let expected = &self.expected_dead_letters;
        ensure!(found == *expected, "there are dead letters {letters:?}, and expected are those at {expected:?}");
        Ok(())
    }

    /// Waits until Postgres holds everything that the log does.
    pub async fn wait_until_stored(&mut self) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Progress {
            partition: u16,
            seq: u64,
        }
        let monitor_port = self.nats.node(0).monitor_port();
        until("everything in the log is stored", STORED_TIMEOUT, async || {
            let stored: Vec<Progress> = self.rows("SELECT partition, seq FROM log_progress").await?;
            let stored: BTreeMap<_, _> = stored.iter().map(|progress| (progress.partition, progress.seq)).collect();
            let logged = log_state::streams(monitor_port).await?;
            let is_stored =
                |stream: &StreamState| stored.get(&stream.partition).is_some_and(|seq| *seq >= stream.last_seq);
            Ok(logged.iter().all(is_stored).then_some(()))
        })
        .await
    }

    /// Takes NATS away with all that it has, as when a disk is lost, and starts it anew with nothing.
    pub async fn lose_nats_data(&mut self) -> Result<()> {
        let nats_data = self.nats.data_dir().to_owned();
        for index in 0..self.nats.urls().len() {
            let node = self.nats.node(index);
            node.kill9()?;
            let data = nats_data.join(node.name());
            fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
        }
        self.nats.restart().await
    }

    /// Kills every process of `huddle` with SIGKILL, starts all of them again, and waits until they are ready.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        for service in self.services() {
            service.kill9()?;
        }
        try_join_all(self.services().map(Service::restart)).await.map(drop)
    }

    /// The logs of all processes, those of NATS and Postgres too.
    pub fn logs(&mut self) -> Vec<PathBuf> {
        let mut logs: Vec<_> = self.services().map(|service| service.process().log_path().to_owned()).collect();
        logs.extend((0..self.nats.urls().len()).map(|index| self.nats.node(index).process().log_path().to_owned()));
        logs.push(self.postgres.process().log_path().to_owned());
        logs
    }

    /// Waits until every process of `huddle` that runs is ready.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        for service in self.services() {
            if service.process().is_running() {
                service.wait_until_ready().await?;
            }
        }
        Ok(())
    }

    /// Ends a test that went well, and checks what holds after each: nothing is left unstored, nothing became a dead
    /// letter but what was expected to, nothing panicked, and every process that still runs ends in good order after SIGTERM.
    pub async fn finish(mut self) -> Result<()> {
        self.wait_until_stored().await?;
        self.ensure_expected_dead_letters().await?;
        let endings = self.services().filter_map(|service| {
            let runs = service.process().is_running();
            runs.then(|| service.terminate())
        });
        for ending in join_all(endings).await {
            ending?;
        }
        for service in self.services() {
            service.ensure_no_panic()?;
        }
        self.finished = true;
        Ok(())
    }

    fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        let single = [&mut self.history, &mut self.directory];
        self.gateways.iter_mut().chain(&mut self.persistence).chain(single)
    }
}

impl Deref for Cluster {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        eprintln!("\nThe test did not reach its end{}.", if thread::panicking() { ": it panicked" } else { "" });
        for service in self.services() {
            service.report_failure();
        }
        for index in 0..self.nats.urls().len() {
            let node = self.nats.node(index);
            eprintln!(
                "\n--- nats-server {}\n{}",
                node.name().to_owned(),
                node.process().log_tail(LOG_LINES_OF_A_FAILURE)
            );
        }
        eprintln!("\n--- postgres\n{}", self.postgres.process().log_tail(LOG_LINES_OF_A_FAILURE));
    }
}

fn configuration(options: &ClusterOptions, nats: &Nats, postgres_url: &str) -> String {
    let ClusterOptions { partitions, nats_nodes, .. } = options;
    format!(
        "[auth]\nsecret = {SECRET:?}\nservice_token = {SERVICE_TOKEN:?}\n\
         [log]\nservers = {:?}\npartitions = {partitions}\nreplicas = {nats_nodes}\nmax_bytes = 268435456\n\
         [store]\nurl = {postgres_url:?}\n\
         [gateway]\ndrain = \"500ms\"\n",
        nats.urls()
    )
}

async fn migrate(config: &Path) -> Result<()> {
    let mut command = tokio::process::Command::from(huddle()?);
    command.arg("migrate").arg("--config").arg(config).kill_on_drop(true);
    let output = command.output().await.context("cannot start huddle migrate")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "huddle migrate ended with {}: {said}", output.status);
    Ok(())
}
