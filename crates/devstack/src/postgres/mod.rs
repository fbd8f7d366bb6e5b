//! Owns a Postgres server on this machine.

mod cluster;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};

use crate::account::Account;
use crate::data_dir::DataDir;
use crate::password::Password;
use crate::{Durability, Process, Signal, Tools, ports};

/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 5;

/// Recovery after a kill is the slowest start.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// A fast shutdown writes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The superuser, and the only user of the server.
const USER: &str = "huddle";

/// What to start.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where the data stays, or `None` for a temporary directory that is removed with the [`Postgres`].
    pub data_dir: Option<PathBuf>,
    /// The port, when it is free; another is taken otherwise.
    pub preferred_port: Option<u16>,
    /// [`Durability::Relaxed`] is `fsync = off`.
    pub durability: Durability,
    /// Server parameters by name, for example `("max_connections", "50")`.
    pub settings: Vec<(String, String)>,
    /// Variables of its environment, on top of this process's.
    pub environment: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    /// A server that syncs every commit, in a temporary directory.
    fn default() -> Self {
        Self {
            data_dir: None,
            preferred_port: None,
            durability: Durability::Synced,
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl PostgresOptions {
    /// A small server in a temporary directory that starts fast and does not sync.
    pub fn for_tests() -> Self {
        let settings = [("shared_buffers", "16MB"), ("max_wal_size", "128MB"), ("min_wal_size", "32MB")];
        Self {
            durability: Durability::Relaxed,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..Self::default()
        }
    }
}

/// A running Postgres that listens on 127.0.0.1 only and asks for a password made for it.
///
/// Postgres refuses to run as root. When root starts it, it runs as the user `nobody`, who is then given the data
/// directory. Where `nobody` may not go (a checkout below `/root`), it gets the one capability to read and traverse
/// directories, through `setpriv`.
///
/// Dropping it shuts it down at once (SIGQUIT) and then removes a temporary data directory.
#[derive(Debug)]
pub struct Postgres {
    // Before the directory: fields are dropped in this order.
    process: Process,
    server: Server,
}

/// What stays the same from one start to the next.
#[derive(Debug)]
struct Server {
    bin: PathBuf,
    account: Account,
    port: u16,
    password: Password,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: DataDir,
}

impl Postgres {
    /// Makes the data directory unless it is there, starts the server, and waits until it takes connections.
    ///
    /// # Errors
    /// When the binaries are missing, or it is not ready after a minute; the error quotes its log.
    pub async fn start(tools: &Tools, options: PostgresOptions) -> Result<Self> {
        let bin = tools.postgres_bin()?;
        let directory = DataDir::prepare(options.data_dir.as_deref(), "huddle-postgres-")?;
        let (bin, directory, account, password) = tokio::task::spawn_blocking(move || {
            let account = Account::choose(&bin.join("postgres"), directory.path())?;
            let password = cluster::prepare(&bin, &account, &directory)?;
            anyhow::Ok((bin, directory, account, password))
        })
        .await??;
        let (arguments, environment) = (arguments(&options), options.environment.clone());
        let mut server = Server { bin, account, port: 0, password, arguments, environment, directory };
        let mut attempt = 1;
        loop {
            server.port = ports::free_port_near(options.preferred_port)?;
            let mut process = server.spawn()?;
            match server.wait_until_ready(&mut process).await {
                Ok(()) => return Ok(Self { process, server }),
                Err(_) if attempt < START_ATTEMPTS_MAX && found_its_port_taken(&mut process) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of the database `postgres`, with user and password.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of the database `name`, whether it exists or not.
    pub fn url_of(&self, name: &str) -> String {
        let Server { port, password, .. } = &self.server;
        format!("postgres://{USER}:{}@127.0.0.1:{port}/{name}", password.reveal())
    }

    /// Creates a database, unless it exists, and returns its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let mut createdb = tokio::process::Command::new(self.server.bin.join("createdb"));
        createdb
            .args(["--host", &Ipv4Addr::LOCALHOST.to_string(), "--port", &self.server.port.to_string()])
            .args(["--username", USER, "--maintenance-db", "postgres", name])
            .env("PGPASSWORD", self.server.password.reveal())
            .env("LC_ALL", "C")
            .kill_on_drop(true);
        let output = createdb.output().await.context("cannot start createdb")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() && !said.contains("already exists") {
            bail!("createdb {name}: {said}");
        }
        Ok(self.url_of(name))
    }

    /// The port on 127.0.0.1; a restart keeps it.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The process id of the postmaster; of a server that has ended, the one it had.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The postmaster's process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where the data, the password and the log are.
    pub fn data_dir(&self) -> &Path {
        self.server.directory.path()
    }

    /// Whether the postmaster has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Kills the postmaster with SIGKILL; its children notice and end by themselves, a little later.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Makes the postmaster stand still (SIGSTOP): new connections hang, present ones go on.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()
    }

    /// Lets it go on after [`Postgres::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.process.resume()
    }

    /// Stops the server in good order and fast: open transactions are rolled back. Fine when it has ended already.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::Interrupt, STOP_GRACE).await.map(drop)
    }

    /// Starts the server again on the same port with the same data, after stopping it when it runs, and waits until it
    /// takes connections.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            self.process = self.server.spawn()?;
            match self.server.wait_until_ready(&mut self.process).await {
                Err(_) if Instant::now() < deadline && predecessor_is_alive(&mut self.process) => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Server {
    fn spawn(&self) -> Result<Process> {
        let mut command: Command = self.account.command(&self.bin.join("postgres"));
        command.arg("-D").arg(self.data()).args(["-c", &format!("port={}", self.port)]);
        for argument in &self.arguments {
            command.args(["-c", argument]);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::spawn_with_last_signal("postgres", command, &self.directory.path().join("postgres.log"), Signal::Quit)
    }

    async fn wait_until_ready(&self, process: &mut Process) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(status) = process.exit_status()? {
                bail!("postgres ended ({status}); {}", process.quoted_log());
            }
            if self.says_ready(process.pid())? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("postgres was not ready within {READY_TIMEOUT:?}; {}", process.quoted_log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Looks where `pg_ctl --wait` looks: the first line of `postmaster.pid` is the pid, the eighth the state.
    fn says_ready(&self, pid: u32) -> Result<bool> {
        let text = match fs::read_to_string(self.data().join("postmaster.pid")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.context("cannot read postmaster.pid")?,
        };
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        Ok(lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready"))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join(cluster::DATA)
    }
}

fn arguments(options: &PostgresOptions) -> Vec<String> {
    let sync = match options.durability {
        Durability::Synced => "on",
        Durability::Relaxed => "off",
    };
    let mut arguments = vec![
        format!("listen_addresses={}", Ipv4Addr::LOCALHOST),
        // A socket file's path has a limit of about 100 bytes, which a data directory may exceed.
        "unix_socket_directories=".to_owned(),
        // In the data directory: shared memory of a killed server would stay on the machine.
        "dynamic_shared_memory_type=mmap".to_owned(),
        format!("fsync={sync}"),
        format!("full_page_writes={sync}"),
    ];
    arguments.extend(options.settings.iter().map(|(name, value)| format!("{name}={value}")));
    arguments
}

fn found_its_port_taken(process: &mut Process) -> bool {
    !process.is_running() && process.log_tail(usize::MAX).contains("Address already in use")
}

/// Whether a start failed because children of a killed postmaster still hold its shared memory or its port.
fn predecessor_is_alive(process: &mut Process) -> bool {
    let held = ["is still in use", "Address already in use", "postmaster.pid\" already exists"];
    !process.is_running() && held.iter().any(|text| process.log_tail(usize::MAX).contains(text))
}
