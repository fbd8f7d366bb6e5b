//! Owns a whole deployment in one process: `huddle up` over the embedded file.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write as _,
    ops::Deref,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Access, SECRET, SERVICE_TOKEN,
    service::{Role, Service, ServiceOptions},
    sql::Database,
    wait::until,
};

/// From ready to told: the demo team is made in between.
const TOLD_TIMEOUT: Duration = Duration::from_secs(30);
const STORED_TIMEOUT: Duration = Duration::from_mins(1);

/// What to start.
#[derive(Debug, Clone)]
pub struct SingleOptions {
    /// Partitions of the log.
    pub partitions: u16,
    /// Further settings, such as `("gateway.drain", "1s")`.
    pub settings: Vec<(String, String)>,
    /// Whether its page signs people in as members of the demo team, as it does where nobody has set a secret. The tests'
    /// own one is then where `huddle up` keeps what it makes by itself. Only without a `wrapper`.
    pub signs_in: bool,
    /// Its data directory; a new one, which goes with it, unless said otherwise.
    pub data_dir: Option<PathBuf>,
    /// A command that becomes the process, such as `nsenter`; looks into the file go through it as well. None if empty.
    pub wrapper: Vec<OsString>,
}

impl Default for SingleOptions {
    fn default() -> Self {
        Self { partitions: 1, settings: Vec::new(), signs_in: false, data_dir: None, wrapper: Vec::new() }
    }
}

/// A running `huddle up`. It ends when it is dropped, on a panic too.
#[derive(Debug)]
pub struct Single {
    /// The one process.
    pub service: Service,
    access: Access,
    finished: bool,
    // After the process: fields are dropped in this order.
    _files: TempDir,
}

impl Single {
    /// Starts it and waits until it is ready.
    pub async fn start(options: SingleOptions) -> Result<Self> {
        let files = new_files()?;
        let service = Service::start(service_options(files.path(), &options)?).await?;
        let mut single = Self::over(service, files, &options)?;
        single.wait_until_told().await?;
        Ok(single)
    }

    /// As [`Single::start`], without the wait.
    pub fn spawn(options: &SingleOptions) -> Result<Self> {
        let files = new_files()?;
        let service = Service::spawn(service_options(files.path(), options)?)?;
        Self::over(service, files, options)
    }

    fn over(service: Service, files: TempDir, options: &SingleOptions) -> Result<Self> {
        let database = Database::in_directory(&data_dir(files.path(), options), &options.wrapper)?;
        let (history, directory) = (service.url_set_by("history.listen")?, service.url_set_by("directory.listen")?);
        let access = Access::new([&service], history, directory, database, files.path())?;
        Ok(Self { service, access, finished: false, _files: files })
    }

    /// Waits until it has told where it is and whom it has, and checks that it is there.
    pub async fn wait_until_told(&mut self) -> Result<Value> {
        let process = self.service.process();
        process.wait_for_output("\"tokens\":", TOLD_TIMEOUT).await?;
        let output = process.output()?;
        let line = output.lines().find(|line| line.starts_with('{')).context("no JSON")?;
        let told: Value = serde_json::from_str(line)?;
        let urls = [&told["url"], &told["http_url"], &told["history_url"], &told["directory_url"]];
        let expected =
            [self.ws_url(0), self.http_url(0), self.history_url().to_owned(), self.directory_url().to_owned()];
        ensure!(urls == expected.each_ref(), "it tells {urls:?} and listens at {expected:?}");
        ensure!(told["mode"] == "embedded" && told["team"] == "demo", "it tells {told}");
        Ok(told)
    }

    /// Waits until the store is as far as the log.
    pub async fn wait_until_stored(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Unstored {
            partition: u16,
            last: u64,
        }
        let unstored = "SELECT partition, max(seq) AS last FROM events GROUP BY partition \
             HAVING max(seq) > coalesce((SELECT p.seq FROM log_progress p WHERE p.partition = events.partition), 0)";
        let mut left = Vec::new();
        let stored = until("everything in the log is stored", STORED_TIMEOUT, async || {
            let unstored: Vec<Unstored> = self.rows(unstored).await?;
            left = unstored.iter().map(|it| (it.partition, it.last)).collect();
            Ok(left.is_empty().then_some(()))
        });
        stored.await.with_context(|| format!("partitions with their ends: {left:?}"))
    }

    /// Ends a test that went well, and checks what holds after each: nothing is left unstored, nothing became a dead
    /// letter, nothing panicked, it ends in good order after SIGTERM, and the file is whole.
    pub async fn finish(mut self) -> Result<()> {
        self.wait_until_stored().await?;
        self.ensure_no_dead_letters().await?;
        self.service.terminate().await?;
        self.service.ensure_no_panic()?;
        self.ensure_file_is_whole().await?;
        self.finished = true;
        Ok(())
    }

    /// Lets SQLite check the whole file.
    pub async fn ensure_file_is_whole(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Report {
            integrity_check: String,
        }
        let report: Vec<Report> = self.rows("PRAGMA integrity_check").await?;
        let [Report { integrity_check }] = &report[..] else { anyhow::bail!("the file has several faults") };
        ensure!(integrity_check == "ok", "the file is damaged: {integrity_check}");
        Ok(())
    }
}

impl Deref for Single {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        if !self.finished {
            self.service.report_failure();
        }
    }
}

fn new_files() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("huddle-single-").tempdir()?)
}

fn data_dir(files: &Path, options: &SingleOptions) -> PathBuf {
    options.data_dir.clone().unwrap_or_else(|| files.join("data"))
}

fn service_options(files: &Path, options: &SingleOptions) -> Result<ServiceOptions> {
    let config = files.join("huddle.toml");
    let partitions = options.partitions;
    let secret = if options.signs_in { String::new() } else { format!("secret = {SECRET:?}\n") };
    let text = format!(
        "[auth]\n{secret}service_token = {SERVICE_TOKEN:?}\n\
         [embedded]\npartitions = {partitions}\n\
         [gateway]\ndrain = \"500ms\"\n"
    );
    if options.signs_in {
        keep_secret(&data_dir(files, options))?;
    }
    fs::write(&config, text).context("cannot write the configuration")?;
    let SingleOptions { settings, wrapper, .. } = options.clone();
    let arguments: Vec<OsString> = vec!["--json".into(), "--data-dir".into(), data_dir(files, options).into()];
    let options = ServiceOptions::new(Role::Up, 0, config, files.join("logs"));
    Ok(ServiceOptions { settings, arguments, wrapper, ..options })
}

/// Leaves the tests' secret in a new data directory, as a first start does with its own.
fn keep_secret(data_dir: &Path) -> Result<()> {
    fs::create_dir_all(data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(data_dir.join("secrets.json"))?;
    write!(file, "{}", json!({ "user_secret": SECRET })).context("cannot write the secret")
}
