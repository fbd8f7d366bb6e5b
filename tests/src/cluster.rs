//! Owns a whole deployment on this machine: NATS, Postgres and the processes of `huddle`.

use std::{
    collections::BTreeMap,
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
    log_state::{self, StreamState},
    service::{LOG_LINES_OF_A_FAILURE, Role, Service, ServiceOptions},
    sql::Database,
    wait::until,
};

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
            gateway_wrapper: Vec::new(),
            nats_data: None,
            nats_durability: Durability::Synced,
            postgres: PostgresOptions::for_tests(),
        }
    }
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
    access: Access,
    config: PathBuf,
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
        let nats_options = NatsOptions {
            nodes: options.nats_nodes,
            data_dir: Some(options.nats_data.clone().unwrap_or_else(|| files.path().join("nats"))),
            durability: options.nats_durability,
            ..NatsOptions::default()
        };
        let (nats, postgres) =
            tokio::try_join!(Nats::start(&tools, nats_options), Postgres::start(&tools, options.postgres.clone()))?;
        let url = postgres.create_database("huddle").await?;
        let config = files.path().join("huddle.toml");
        fs::write(&config, configuration(&options, &nats, &url)).context("cannot write the configuration")?;
        let logs = files.path().join("logs");
        let start = |role: Role, index: usize, settings: &[(&str, String)]| {
            let own = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            let settings = own.chain(options.settings.iter().cloned()).collect();
            let wrapper = if role == Role::Gateway { options.gateway_wrapper.clone() } else { Vec::new() };
            Service::start(ServiceOptions {
                settings,
                wrapper,
                ..ServiceOptions::new(role, index, config.clone(), logs.clone())
            })
        };

        migrate(&config).await?;
        let (history, directory, persistence) = tokio::try_join!(
            start(Role::History, 0, &[]),
            start(Role::Directory, 0, &[]),
            try_join_all((0..options.persistence).map(|index| start(Role::Persistence, index, &[]))),
        )?;
        let upstream = [("gateway.history_url", history.http_url()), ("gateway.directory_url", directory.http_url())];
        let gateways = try_join_all((0..options.gateways).map(|index| start(Role::Gateway, index, &upstream))).await?;

        let database = Database::at_url(&tools, url)?;
        let access = Access::new(&gateways, history.http_url(), directory.http_url(), database, files.path())?;
        Ok(Self {
            gateways,
            persistence,
            history,
            directory,
            nats,
            postgres,
            access,
            config,
            finished: false,
            _files: files,
            _turn: turn,
        })
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

    /// Which node of NATS leads the partition; `None` while none does.
    pub async fn leader_of(&mut self, partition: u16) -> Result<Option<usize>> {
        for index in 0..self.nats.urls().len() {
            let node = self.nats.node(index);
            let (name, monitor_port) = (node.name().to_owned(), node.monitor_port());
            if node.is_running() {
                let streams = log_state::streams(monitor_port).await?;
                let leads =
                    |stream: &StreamState| stream.partition == partition && stream.leader.as_ref() == Some(&name);
                if streams.iter().any(leads) {
                    return Ok(Some(index));
                }
            }
        }
        Ok(None)
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
        let services: Vec<_> = self.services().map(|service| service.process().log_path().to_owned()).collect();
        let backends = [self.nats.node(0).process().log_path(), self.postgres.process().log_path()].map(Path::to_owned);
        services.into_iter().chain(backends).collect()
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
    /// letter, nothing panicked, and every process that still runs ends in good order after SIGTERM.
    pub async fn finish(mut self) -> Result<()> {
        self.wait_until_stored().await?;
        self.ensure_no_dead_letters().await?;
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
        eprintln!("\n--- nats-server\n{}", self.nats.node(0).process().log_tail(LOG_LINES_OF_A_FAILURE));
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
