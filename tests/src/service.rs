//! Owns one process of `huddle`: its ports, its signals, the wait until it is ready.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_devstack::{Process, Signal, free_port};

use crate::{Samples, binary::huddle, http, wait::until};

/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 5;
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// Above the longest drain of any service.
const STOP_GRACE: Duration = Duration::from_secs(15);
const QUOTED_LINES: usize = 30;
/// Lines of each log that a failed test shows.
pub(crate) const LOG_LINES_OF_A_FAILURE: usize = 40;

/// What a process of `huddle` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `huddle gateway`.
    Gateway,
    /// `huddle persistence`.
    Persistence,
    /// `huddle history`.
    History,
    /// `huddle directory`.
    Directory,
    /// `huddle up`: all of them.
    Up,
}

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Persistence => "persistence",
            Self::History => "history",
            Self::Directory => "directory",
            Self::Up => "up",
        }
    }

    /// The name of the `index`-th process: `gateway-0`.
    pub(crate) fn name_of(self, index: usize) -> String {
        format!("{}-{index}", self.command())
    }

    /// The settings of the addresses that it takes: the admin endpoint's, then those of what it serves.
    fn address_settings(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &["admin.gateway", "gateway.listen"],
            Self::Persistence => &["admin.persistence"],
            Self::History => &["admin.history", "history.listen"],
            Self::Directory => &["admin.directory", "directory.listen"],
            Self::Up => &["admin.gateway", "gateway.listen", "history.listen", "directory.listen"],
        }
    }
}

/// How a process of `huddle` is started.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// What it is.
    pub role: Role,
    /// Tells it from others of its role.
    pub index: usize,
    /// The configuration file.
    pub config: PathBuf,
    /// Settings on top of that.
    pub settings: Vec<(String, String)>,
    /// Arguments of its role.
    pub arguments: Vec<OsString>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// A command, with arguments, that becomes the process, such as `nsenter`; none if empty.
    pub wrapper: Vec<OsString>,
    /// The directory of its log.
    pub logs: PathBuf,
}

impl ServiceOptions {
    /// The `index`-th process of `role`, with the configuration file `config` and its log in the directory `logs`.
    pub const fn new(role: Role, index: usize, config: PathBuf, logs: PathBuf) -> Self {
        Self {
            role,
            index,
            config,
            settings: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            logs,
        }
    }

    fn name(&self) -> String {
        self.role.name_of(self.index)
    }

    fn command(&self, addresses: &[SocketAddr]) -> Result<Command> {
        let mut command = huddle()?;
        command.arg(self.role.command()).args(&self.arguments).arg("--config").arg(&self.config);
        let addresses = self.role.address_settings().iter().zip(addresses);
        let addresses = addresses.map(|(setting, address)| format!("{setting}={address}"));
        let settings = self.settings.iter().map(|(key, value)| format!("{key}={value}"));
        for setting in addresses.chain(settings) {
            command.arg("--set").arg(setting);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Started where no configuration file lies about.
        command.current_dir("/");
        Ok(if self.wrapper.is_empty() { command } else { wrapped(&self.wrapper, &command) })
    }
}

/// `command` as the last arguments of `wrapper`.
fn wrapped(wrapper: &[OsString], command: &Command) -> Command {
    let mut outer = Command::new(&wrapper[0]);
    outer.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        outer.current_dir(directory);
    }
    outer
}

/// A process of `huddle`. It keeps its ports over restarts; it ends when it is dropped.
#[derive(Debug)]
pub struct Service {
    name: String,
    options: ServiceOptions,
    /// In the order of the role's settings.
    addresses: Vec<SocketAddr>,
    process: Process,
}

impl Service {
    /// Starts a process and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready within a minute; the error quotes its log.
    pub async fn start(options: ServiceOptions) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let mut service = Self::spawn(options.clone())?;
            match service.wait_until_ready().await {
                Ok(()) => return Ok(service),
                Err(_) if attempt < START_ATTEMPTS_MAX && service.found_its_port_taken() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Service::start`], without the wait.
    pub fn spawn(options: ServiceOptions) -> Result<Self> {
        let ports = options.role.address_settings().iter().map(|_| free_port());
        let addresses = ports.map(|port| Ok(local(port?))).collect::<Result<Vec<_>>>()?;
        let process = spawn(&options, &addresses)?;
        Ok(Self { name: options.name(), options, addresses, process })
    }

    /// Its name: `gateway-0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `http://host:port` of what it serves: REST for a gateway, gRPC for history and directory.
    pub fn http_url(&self) -> String {
        self.url_of(1)
    }

    /// The WebSocket endpoint of a gateway.
    pub fn ws_url(&self) -> String {
        ws_url(&self.http_url())
    }

    /// `http://host:port` of its health and metrics.
    pub fn admin_url(&self) -> String {
        self.url_of(0)
    }

    /// `http://host:port` of the address that was given with the setting `setting`.
    pub(crate) fn url_set_by(&self, setting: &str) -> Result<String> {
        let place = self.options.role.address_settings().iter().position(|it| *it == setting);
        Ok(self.url_of(place.with_context(|| format!("{} has no {setting}", self.name))?))
    }

    fn url_of(&self, place: usize) -> String {
        format!("http://{}", self.addresses[place])
    }

    /// Its process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it takes longer than 15 s, or ends with failure; the error quotes its log.
    pub async fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::Terminate)?;
        let status = self.process.wait(STOP_GRACE).await?;
        if !status.success() {
            bail!("{} ended with {status} after SIGTERM; {}", self.name, self.quoted_log());
        }
        Ok(())
    }

    /// Starts it again on its ports, after killing it when it still runs, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.spawn_again()?;
        self.wait_until_ready().await
    }

    /// As [`Service::restart`], without the wait.
    pub fn spawn_again(&mut self) -> Result<()> {
        if self.process.is_running() {
            self.kill9()?;
        }
        self.process = spawn(&self.options, &self.addresses)?;
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let mut last = "nothing".to_owned();
        while !self.is_ready(&mut last).await {
            if let Some(status) = self.process.exit_status()? {
                bail!("{} ended with {status} before it was ready; {}", self.name, self.quoted_log());
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready after {READY_TIMEOUT:?}: {last}; {}", self.name, self.quoted_log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until it says that it is not ready any more.
    pub async fn wait_until_not_ready(&self, bound: Duration) -> Result<()> {
        let what = format!("{} is not ready", self.name);
        until(&what, bound, async || Ok((!self.is_ready(&mut String::new()).await).then_some(()))).await
    }

    /// Its metrics now.
    pub async fn metrics(&self) -> Result<Samples> {
        metrics(&self.admin_url()).await.with_context(|| format!("metrics of {}", self.name))
    }

    /// Checks that it has not panicked.
    pub(crate) fn ensure_no_panic(&self) -> Result<()> {
        let output = self.process.output()?;
        ensure!(!output.contains("panicked at"), "{} panicked; {}", self.name, self.quoted_log());
        Ok(())
    }

    /// Prints the end of its log, for a test that failed.
    pub(crate) fn report_failure(&mut self) {
        let ended = match self.process.exit_status() {
            Ok(Some(status)) => format!(" (ended: {status})"),
            _ => String::new(),
        };
        eprintln!("\n--- {}{ended}\n{}", self.name, self.process.log_tail(LOG_LINES_OF_A_FAILURE));
    }

    pub(crate) fn quoted_log(&self) -> String {
        format!("the end of its log:\n{}", self.process.log_tail(QUOTED_LINES))
    }

    async fn is_ready(&self, last: &mut String) -> bool {
        match http::get(&format!("{}/readyz", self.admin_url()), None).await {
            Ok(answer) => {
                *last = answer.body;
                answer.status == 200
            }
            Err(error) => {
                *last = error.to_string();
                false
            }
        }
    }

    fn found_its_port_taken(&mut self) -> bool {
        !self.process.is_running() && self.process.log_tail(usize::MAX).contains("cannot listen")
    }
}

fn spawn(options: &ServiceOptions, addresses: &[SocketAddr]) -> Result<Process> {
    let name = options.name();
    Process::spawn(&name, options.command(addresses)?, &options.logs.join(format!("{name}.log")))
}

/// The WebSocket endpoint of the gateway at `http_url`.
pub(crate) fn ws_url(http_url: &str) -> String {
    format!("{}/v1/ws", http_url.replacen("http://", "ws://", 1))
}

/// What the process with the admin endpoint `admin_url` counts.
pub(crate) async fn metrics(admin_url: &str) -> Result<Samples> {
    let answer = http::get(&format!("{admin_url}/metrics"), None).await?;
    Ok(Samples::parse(&answer.body))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
