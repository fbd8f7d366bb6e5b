//! Owns one process of `huddle`: its ports, its signals, the wait until it is ready.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use huddle_devstack::{Process, Signal, free_port};

use crate::{Samples, binary::huddle, http, wait::until};

/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 5;
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// Above the longest drain of any service.
const STOP_GRACE: Duration = Duration::from_secs(15);
const QUOTED_LINES: usize = 30;

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
}

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Persistence => "persistence",
            Self::History => "history",
            Self::Directory => "directory",
        }
    }

    /// The setting of the address that it serves, beside the admin endpoint.
    fn listen_setting(self) -> Option<&'static str> {
        match self {
            Self::Gateway => Some("gateway.listen"),
            Self::Persistence => None,
            Self::History => Some("history.listen"),
            Self::Directory => Some("directory.listen"),
        }
    }
}

/// A process of `huddle`. It keeps its ports over restarts; it ends when it is dropped.
#[derive(Debug)]
pub struct Service {
    role: Role,
    name: String,
    config: PathBuf,
    settings: Vec<(String, String)>,
    admin: SocketAddr,
    listen: SocketAddr,
    log: PathBuf,
    process: Process,
}

impl Service {
    /// Starts the `index`-th process of `role` with the configuration file `config` and `settings` on top of it, and
    /// waits until it is ready. Its log goes to the directory `logs`.
    ///
    /// # Errors
    /// When it ends or is not ready within a minute; the error quotes its log.
    pub async fn start(
        role: Role,
        index: usize,
        config: &Path,
        settings: Vec<(String, String)>,
        logs: &Path,
    ) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let mut service = Self::spawn(role, index, config, settings.clone(), logs)?;
            match service.wait_until_ready().await {
                Ok(()) => return Ok(service),
                Err(_) if attempt < START_ATTEMPTS_MAX && service.found_its_port_taken() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Service::start`], without the wait.
    pub fn spawn(
        role: Role,
        index: usize,
        config: &Path,
        settings: Vec<(String, String)>,
        logs: &Path,
    ) -> Result<Self> {
        let name = format!("{}-{index}", role.command());
        let log = logs.join(format!("{name}.log"));
        let config = config.to_owned();
        let (admin, listen) = (local(free_port()?), local(free_port()?));
        let process = spawn(role, &name, &config, &settings, admin, listen, &log)?;
        Ok(Self { role, name, config, settings, admin, listen, log, process })
    }

    /// Its name: `gateway-0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `http://host:port` of what it serves: REST for a gateway, gRPC for history and directory.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The WebSocket endpoint of a gateway.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/v1/ws", self.listen)
    }

    /// `http://host:port` of its health and metrics.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
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
        if self.process.is_running() {
            self.kill9()?;
        }
        self.process = spawn(self.role, &self.name, &self.config, &self.settings, self.admin, self.listen, &self.log)?;
        self.wait_until_ready().await
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
        let answer = http::get(&format!("{}/metrics", self.admin_url()), None).await;
        let answer = answer.with_context(|| format!("metrics of {}", self.name))?;
        Ok(Samples::parse(&answer.body))
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

fn spawn(
    role: Role,
    name: &str,
    config: &Path,
    settings: &[(String, String)],
    admin: SocketAddr,
    listen: SocketAddr,
    log: &Path,
) -> Result<Process> {
    let mut command: Command = huddle()?;
    command.arg(role.command()).arg("--config").arg(config);
    let mut set = |key: &str, value: &str| {
        command.arg("--set").arg(format!("{key}={value}"));
    };
    set(&format!("admin.{}", role.command()), &admin.to_string());
    if let Some(setting) = role.listen_setting() {
        set(setting, &listen.to_string());
    }
    for (key, value) in settings {
        set(key, value);
    }
    // Started where no configuration file lies about.
    command.current_dir("/");
    Process::spawn(name, command, log)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
