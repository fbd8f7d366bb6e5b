//! Owns a whole deployment on this machine: NATS, Postgres and the processes of `huddle`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{
    TryStreamExt as _,
    future::{join_all, try_join_all},
    stream,
};
use huddle_auth::{Minter, VerifierOptions};
use huddle_client::{ClientOptions, Encoding};
use huddle_devstack::{Nats, NatsOptions, Postgres, PostgresOptions, Tools};
use huddle_domain::UserId;
use huddle_proto::{
    directory::v1::{AddMemberRequest, CreateTeamRequest},
    event::v1::Role as MemberRole,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    DirectoryClient, HistoryClient, StoredEvent,
    binary::huddle,
    grpc,
    log_state::{self, StreamState},
    service::{Role, Service},
    sql::Database,
    wait::until,
};

/// Signs users' tokens in every cluster.
pub const SECRET: &str = "the signing secret of the end-to-end tests";
/// The service token of every cluster.
pub const SERVICE_TOKEN: &str = "the-service-token-of-the-end-to-end-tests";

const TOKEN_TTL: Duration = Duration::from_hours(1);
const STORED_TIMEOUT: Duration = Duration::from_mins(1);
/// Teams that are created at once.
const TEAMS_AT_ONCE: usize = 8;
const LOG_LINES_OF_A_FAILURE: usize = 40;

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
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { gateways: 2, persistence: 2, partitions: 1, nats_nodes: 1, settings: Vec::new() }
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
    database: Database,
    minter: Minter,
    config: PathBuf,
    finished: bool,
    // After the processes: fields are dropped in this order.
    directory_of_files: TempDir,
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
            data_dir: Some(files.path().join("nats")),
            ..NatsOptions::default()
        };
        let (nats, postgres) =
            tokio::try_join!(Nats::start(&tools, nats_options), Postgres::start(&tools, PostgresOptions::for_tests()))?;
        let url = postgres.create_database("huddle").await?;
        let config = files.path().join("huddle.toml");
        fs::write(&config, configuration(&options, &nats, &url)).context("cannot write the configuration")?;
        let logs = files.path().join("logs");
        let start = |role: Role, index: usize, settings: &[(&str, String)]| {
            let own = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            let settings = own.chain(options.settings.iter().cloned()).collect();
            let (config, logs) = (config.clone(), logs.clone());
            async move { Service::start(role, index, &config, settings, &logs).await }
        };

        migrate(&config).await?;
        let (history, directory, persistence) = tokio::try_join!(
            start(Role::History, 0, &[]),
            start(Role::Directory, 0, &[]),
            try_join_all((0..options.persistence).map(|index| start(Role::Persistence, index, &[]))),
        )?;
        let upstream = [("gateway.history_url", history.http_url()), ("gateway.directory_url", directory.http_url())];
        let gateways = try_join_all((0..options.gateways).map(|index| start(Role::Gateway, index, &upstream))).await?;

        let minter = Minter::new(VerifierOptions { secret: Some(SECRET.to_owned()), ..VerifierOptions::default() })?;
        let database = Database { psql: tools.postgres_bin()?.join("psql"), url };
        Ok(Self {
            gateways,
            persistence,
            history,
            directory,
            nats,
            postgres,
            database,
            minter,
            config,
            finished: false,
            directory_of_files: files,
            _turn: turn,
        })
    }

    /// Where tests may put files of their own; goes with the cluster.
    pub fn files(&self) -> &Path {
        self.directory_of_files.path()
    }

    /// The configuration file that all processes of `huddle` share.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// A token of `user`, valid for an hour.
    pub fn token(&self, user: &str) -> Result<String> {
        Ok(self.minter.mint(&UserId::parse(user)?, None, TOKEN_TTL, SystemTime::now())?)
    }

    /// What the Rust client needs to connect `user` to a gateway.
    pub fn client_options(&self, gateway: usize, user: &str, encoding: Encoding) -> Result<ClientOptions> {
        let options = ClientOptions::new(self.gateways[gateway].ws_url(), self.token(user)?);
        Ok(options.with_encoding(encoding))
    }

    /// History on behalf of `token`, a user's or [`SERVICE_TOKEN`].
    pub fn history_client(&self, token: &str) -> Result<HistoryClient> {
        grpc::history(&self.history.http_url(), token)
    }

    /// The directory on behalf of `token`, a user's or [`SERVICE_TOKEN`].
    pub fn directory_client(&self, token: &str) -> Result<DirectoryClient> {
        grpc::directory(&self.directory.http_url(), token)
    }

    /// Creates a team. The first of `members` owns it.
    pub async fn create_team(&self, team: &str, members: &[&str]) -> Result<()> {
        let mut directory = self.directory_client(SERVICE_TOKEN)?;
        let (owner, others) = members.split_first().context("a team has an owner")?;
        let create = CreateTeamRequest {
            team: team.to_owned(),
            name: team.to_owned(),
            owner: (*owner).to_owned(),
            client_id: String::new(),
        };
        directory.create_team(create).await.with_context(|| format!("create team {team}"))?;
        for user in others {
            let add = AddMemberRequest {
                team: team.to_owned(),
                user: (*user).to_owned(),
                role: MemberRole::Member.into(),
                name: String::new(),
                client_id: String::new(),
            };
            directory.add_member(add).await.with_context(|| format!("add {user} to {team}"))?;
        }
        Ok(())
    }

    /// Creates many teams, some at once: each with its members.
    pub async fn create_teams(&self, teams: &BTreeMap<String, Vec<String>>) -> Result<()> {
        stream::iter(teams.iter().map(Ok))
            .try_for_each_concurrent(TEAMS_AT_ONCE, async |(team, members)| {
                let members: Vec<_> = members.iter().map(String::as_str).collect();
                self.create_team(team, &members).await
            })
            .await
    }

    /// The rows of an SQL query; a column's name is a field's.
    pub async fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        self.database.rows(query).await
    }

    /// All events of `team` in Postgres, in order.
    pub async fn stored_events(&self, team: &str) -> Result<Vec<StoredEvent>> {
        let query = format!(
            "SELECT seq, sender_id AS sender, client_id, kind, body FROM events WHERE team_id = '{team}' ORDER BY seq"
        );
        self.rows(&query).await
    }

    /// How many messages Postgres holds, of all teams.
    pub async fn stored_messages(&self) -> Result<usize> {
        Ok(self.database.execute("SELECT count(*) FROM events WHERE kind = 'posted'").await?.trim().parse()?)
    }

    /// The sum of a counter over all gateways that run.
    pub async fn gateways_total(&mut self, metric: &str) -> Result<f64> {
        let mut total = 0.0;
        for gateway in &mut self.gateways {
            if gateway.process().is_running() {
                total += gateway.metrics().await?.sum(metric).with_context(|| format!("no metric {metric}"))?;
            }
        }
        Ok(total)
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
        for index in 0..self.nats.urls().len() {
            let node = self.nats.node(index);
            node.kill9()?;
            let data = self.directory_of_files.path().join("nats").join(node.name());
            fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
        }
        self.nats.restart().await
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
        let dead_letters = self.database.execute("SELECT partition, seq, reason FROM dead_letters").await?;
        ensure!(dead_letters.trim().is_empty(), "there are dead letters: {dead_letters}");
        let endings = self.services().filter_map(|service| {
            let runs = service.process().is_running();
            runs.then(|| service.terminate())
        });
        for ending in join_all(endings).await {
            ending?;
        }
        for service in self.services() {
            let output = service.process().output()?;
            ensure!(!output.contains("panicked at"), "{} panicked; {}", service.name(), service.quoted_log());
        }
        self.finished = true;
        Ok(())
    }

    fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        let single = [&mut self.history, &mut self.directory];
        self.gateways.iter_mut().chain(&mut self.persistence).chain(single)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        eprintln!("\nThe test did not reach its end{}.", if thread::panicking() { ": it panicked" } else { "" });
        for service in self.services() {
            let ended = match service.process().exit_status() {
                Ok(Some(status)) => format!(" (ended: {status})"),
                _ => String::new(),
            };
            let tail = service.process().log_tail(LOG_LINES_OF_A_FAILURE);
            eprintln!("\n--- {}{ended}\n{tail}", service.name());
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
