//! Owns a MariaDB server on this machine, for tests of what reads from MySQL.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt as _;

use crate::account::Account;
use crate::data_dir::DataDir;
use crate::password::Password;
use crate::watchdog::Watchdog;
use crate::{Process, Signal, Tools, ports};

/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 5;

const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// How long one script of [`MariaDb::execute`] may take.
const EXECUTE_TIMEOUT: Duration = Duration::from_mins(2);

/// The one user of the server.
const USER: &str = "huddle";

/// What the server says when it takes connections.
const READY: &str = "ready for connections";

/// For the making of the data directory and for the server itself: small, and nothing is synced.
const OPTIONS: [&str; 6] = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    // Containers often forbid io_uring.
    "--innodb-use-native-aio=0",
    "--character-set-server=utf8mb4",
    "--max-allowed-packet=64M",
];

/// A running MariaDB in a temporary directory. It listens on 127.0.0.1 only, asks for a password made for it, and does
/// not sync. When root starts it, it runs as `nobody`, as [`Postgres`](crate::Postgres) does.
///
/// Dropping it ends the server and removes the directory.
#[derive(Debug)]
pub struct MariaDb {
    // Before the directory: fields are dropped in this order.
    _process: Process,
    installation: Installation,
    port: u16,
    password: Password,
    directory: DataDir,
}

/// Where the programs and what they need are.
#[derive(Debug, Clone)]
struct Installation {
    server: PathBuf,
    client: PathBuf,
    libraries: PathBuf,
    share: PathBuf,
    account: Account,
}

impl MariaDb {
    /// Makes a data directory, starts the server, and waits until it takes connections.
    ///
    /// # Errors
    /// When the programs are missing, or it is not ready after a minute; the error quotes its log.
    pub async fn start(tools: &Tools) -> Result<Self> {
        let (server, root) = (tools.mariadbd()?, tools.mariadb_root()?);
        let directory = DataDir::prepare(None, "huddle-mariadb-")?;
        let password = Password::random();
        let secret = password.clone();
        let (directory, installation) = tokio::task::spawn_blocking(move || {
            let installation = Installation::find(server, &root, directory.path())?;
            installation.initialise(directory.path(), &secret)?;
            anyhow::Ok((directory, installation))
        })
        .await??;
        let mut attempt = 1;
        loop {
            let port = ports::free_port()?;
            let mut process = installation.spawn(directory.path(), port)?;
            match process.wait_for_output(READY, READY_TIMEOUT).await {
                Ok(()) => return Ok(Self { _process: process, installation, port, password, directory }),
                Err(_) if attempt < START_ATTEMPTS_MAX && found_its_port_taken(&mut process) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of the database `name`, with user and password.
    pub fn url_of(&self, name: &str) -> String {
        format!("mysql://{USER}:{}@127.0.0.1:{}/{name}", self.password.reveal(), self.port)
    }

    /// The server's own directory: files that it writes (`INTO OUTFILE`) may lie here.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `script` in the database `name` through the server's own client. Returns what that prints.
    pub async fn execute(&self, name: &str, script: &str) -> Result<String> {
        let mut client = tokio::process::Command::new(&self.installation.client);
        client
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--default-character-set=utf8mb4", "--batch"])
            // Or else it makes one line feed of the two characters that end a line elsewhere.
            .arg("--binary-mode")
            .args([&format!("--port={}", self.port), &format!("--user={USER}"), name])
            .env("MYSQL_PWD", self.password.reveal())
            .env("LD_LIBRARY_PATH", &self.installation.libraries)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = client.spawn().context("cannot start mariadb")?;
        let mut input = child.stdin.take().context("mariadb has no input")?;
        let work = async {
            let write = async {
                // A client that has ended says why itself.
                let _ = input.write_all(script.as_bytes()).await;
                drop(input);
            };
            tokio::join!(write, child.wait_with_output()).1
        };
        let output = tokio::time::timeout(EXECUTE_TIMEOUT, work).await.context("mariadb takes too long")??;
        if !output.status.success() {
            bail!("mariadb {name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Installation {
    fn find(server: PathBuf, root: &Path, directory: &Path) -> Result<Self> {
        let among = |candidates: &[&str]| {
            let mut paths = candidates.iter().map(|candidate| root.join(candidate));
            paths.find(|path| path.exists()).with_context(|| format!("{} lacks {}", root.display(), candidates[0]))
        };
        Ok(Self {
            client: among(&["bin/mariadb", "bin/mysql"])?,
            libraries: libraries(root),
            share: among(&["share/mysql", "share/mariadb", "share"])?,
            account: Account::choose(&server, directory)?,
            server,
        })
    }

    /// Makes the system tables, with one user.
    fn initialise(&self, directory: &Path, password: &Password) -> Result<()> {
        let (script, log) = (directory.join("bootstrap.sql"), directory.join("bootstrap.log"));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&script)?;
        writeln!(file, "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;")?;
        for part in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
            file.write_all(&fs::read(self.share.join(part)).with_context(|| format!("cannot read {part}"))?)?;
        }
        writeln!(
            file,
            "DELETE FROM global_priv;\nINSERT INTO global_priv VALUES ('127.0.0.1', '{USER}', \
             JSON_OBJECT('access', 18446744073709551615, 'plugin', 'mysql_native_password', 'authentication_string', \
             PASSWORD('{}')));",
            password.reveal()
        )?;
        drop(file);
        for part in ["data", "tmp"].map(|name| directory.join(name)) {
            fs::create_dir(&part).with_context(|| format!("cannot make {}", part.display()))?;
            self.account.give(&part)?;
        }
        let mut server = self.command(directory);
        let said = File::create(&log)?;
        server.arg("--bootstrap").stdin(File::open(&script)?).stdout(said.try_clone()?).stderr(said);
        let mut child = server.process_group(0).spawn().context("cannot start mariadbd")?;
        let watchdog = Watchdog::over(child.id(), Signal::Kill).context("cannot start the watchdog of a child")?;
        let status = child.wait().context("cannot wait for mariadbd")?;
        drop(watchdog);
        let said = fs::read_to_string(&log).unwrap_or_default();
        // It holds the password.
        fs::remove_file(&script)?;
        if !status.success() {
            bail!("mariadbd --bootstrap failed ({status}): {said}");
        }
        Ok(())
    }

    fn spawn(&self, directory: &Path, port: u16) -> Result<Process> {
        let mut command = self.command(directory);
        command.args([format!("--bind-address={}", Ipv4Addr::LOCALHOST), format!("--port={port}")]);
        // A name without a directory is in the data directory, however long its path is.
        command.args(["--socket=socket", "--pid-file=pid"]);
        Process::spawn_with_last_signal("mariadbd", command, &directory.join("mariadbd.log"), Signal::Terminate)
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = self.account.command(&self.server);
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        command.arg("--no-defaults");
        command.arg(option("datadir", &directory.join("data")));
        // A server that starts removes the temporary tables of all others in the same directory.
        command.arg(option("tmpdir", &directory.join("tmp")));
        command.arg(option("lc-messages-dir", &self.share));
        command.arg(option("character-sets-dir", &self.share.join("charsets")));
        command.args(OPTIONS).env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

/// The unpacked libraries, where Debian keeps them: below the machine's architecture.
fn libraries(root: &Path) -> PathBuf {
    let lib = root.join("lib");
    let inner = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut inner = inner.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    inner.next().unwrap_or(lib)
}

fn found_its_port_taken(process: &mut Process) -> bool {
    !process.is_running() && process.log_tail(usize::MAX).contains("Address already in use")
}
