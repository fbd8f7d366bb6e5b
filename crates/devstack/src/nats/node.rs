//! Owns one nats-server: its configuration file, its process, and the wait until it can be used.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{POLL_INTERVAL, READY_TIMEOUT, monitor};
use crate::{Durability, Process, Signal};

const STOP_GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct NodePorts {
    pub(super) client: u16,
    pub(super) monitor: u16,
    pub(super) cluster: u16,
}

/// An address where nobody listens. A node whose routes lead elsewhere than to the nodes themselves tells the others that it
/// is there: they hear of each other, try it once, and leave it at the routes that they are given.
const NOWHERE: &str = "127.0.0.1:1";

/// How one node of a deployment is started.
pub(super) struct Settings<'a> {
    pub(super) binary: &'a Path,
    pub(super) directory: &'a Path,
    /// Of every node, in their order.
    pub(super) ports: &'a [NodePorts],
    pub(super) jetstream: bool,
    pub(super) durability: Durability,
    pub(super) authorization: Option<&'a str>,
    pub(super) system_password: Option<&'a str>,
    /// Where this node looks for the others, when that is not where they listen.
    pub(super) via: Option<&'a [SocketAddr]>,
}

/// One node of a [`Nats`](crate::Nats).
#[derive(Debug)]
pub struct NatsNode {
    name: String,
    binary: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    ports: NodePorts,
    jetstream: bool,
    is_alone: bool,
    process: Process,
}

impl NatsNode {
    pub(super) fn start(index: usize, settings: &Settings<'_>) -> Result<Self> {
        let name = format!("n{}", index + 1);
        let configuration = settings.directory.join(format!("{name}.conf"));
        fs::write(&configuration, configuration_of(index, &name, settings))
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let log = settings.directory.join(format!("{name}.log"));
        let process = spawn(&name, settings.binary, &configuration, &log)?;
        Ok(Self {
            name,
            binary: settings.binary.to_owned(),
            configuration,
            log,
            ports: settings.ports[index],
            jetstream: settings.jetstream,
            is_alone: settings.ports.len() == 1,
            process,
        })
    }

    /// The server's name in its configuration: `n1`, `n2`, `n3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL for clients of this node; a restart keeps it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// The port of its HTTP monitoring endpoints (`/healthz`, `/jsz`, `/varz`).
    pub fn monitor_port(&self) -> u16 {
        self.ports.monitor
    }

    /// The port where it listens for other nodes; alone it does not.
    pub fn cluster_port(&self) -> u16 {
        self.ports.cluster
    }

    /// The process id; of a node that has ended, the one it had.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether its process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Makes it stand still (SIGSTOP): its connections stay open and silent.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()
    }

    /// Lets it go on after [`NatsNode::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.process.resume()
    }

    /// Stops it in good order; SIGKILL follows when that takes longer than 5 s. Fine when it has ended already.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::Terminate, STOP_GRACE).await.map(drop)
    }

    /// Starts it again on the same port with the same data, after stopping it when it runs, and waits until it answers
    /// clients (alone: until JetStream is ready too). In a cluster, [`Nats::wait_until_ready`](crate::Nats::wait_until_ready)
    /// waits for the rest.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.spawn()?;
        let deadline = Instant::now() + READY_TIMEOUT;
        self.wait_until_answering(deadline).await?;
        if self.is_alone { self.wait_until_healthy(1, deadline).await } else { Ok(()) }
    }

    pub(super) fn spawn(&mut self) -> Result<()> {
        self.process = spawn(&self.name, &self.binary, &self.configuration, &self.log)?;
        Ok(())
    }

    pub(super) fn ask_to_stop(&mut self) -> Result<()> {
        if self.process.is_running() { self.process.signal(Signal::Terminate) } else { Ok(()) }
    }

    pub(super) fn found_its_port_taken(&mut self) -> bool {
        !self.process.is_running() && self.process.log_tail(usize::MAX).contains("address already in use")
    }

    /// Waits for the INFO line that greets clients.
    pub(super) async fn wait_until_answering(&mut self, deadline: Instant) -> Result<()> {
        while !monitor::greets(self.ports.client).await {
            self.pause_before_next_look("answer clients", deadline).await?;
        }
        Ok(())
    }

    /// Waits for JetStream, and in a cluster for a leader to which every node is current.
    pub(super) async fn wait_until_healthy(&mut self, cluster_size: usize, deadline: Instant) -> Result<()> {
        while !self.is_healthy(cluster_size).await {
            self.pause_before_next_look("get ready", deadline).await?;
        }
        Ok(())
    }

    async fn is_healthy(&self, cluster_size: usize) -> bool {
        if !monitor::is_healthy(self.ports.monitor).await {
            return false;
        }
        if !self.jetstream || cluster_size == 1 {
            return true;
        }
        let Ok(jetstream) = monitor::jetstream(self.ports.monitor).await else { return false };
        match jetstream.leader {
            // Only the leader knows how far the others are.
            Some(leader) if leader == self.name => jetstream.current_followers == cluster_size - 1,
            Some(_) => true,
            None => false,
        }
    }

    async fn pause_before_next_look(&mut self, what: &str, deadline: Instant) -> Result<()> {
        let name = &self.name;
        if let Some(status) = self.process.exit_status()? {
            bail!("nats-server {name} ended ({status}); {}", self.process.quoted_log());
        }
        if Instant::now() >= deadline {
            bail!("nats-server {name} did not {what} within {READY_TIMEOUT:?}; {}", self.process.quoted_log());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        Ok(())
    }
}

fn spawn(name: &str, binary: &Path, configuration: &Path, log: &Path) -> Result<Process> {
    let mut command = Command::new(binary);
    command.arg("--config").arg(configuration);
    Process::spawn(&format!("nats-server {name}"), command, log)
}

fn configuration_of(index: usize, name: &str, settings: &Settings<'_>) -> String {
    let ports = settings.ports[index];
    let mut sections = vec![
        format!("server_name: {name}"),
        format!("listen: \"127.0.0.1:{}\"", ports.client),
        format!("http: \"127.0.0.1:{}\"", ports.monitor),
    ];
    if settings.jetstream {
        let store = settings.directory.join(name).display().to_string();
        let sync = match settings.durability {
            Durability::Synced => "always",
            // Without quotes it would be two million seconds.
            Durability::Relaxed => "\"2m\"",
        };
        sections.push(format!("jetstream {{ store_dir: {store:?}, sync_interval: {sync} }}"));
    }
    if let Some(authorization) = settings.authorization {
        sections.push(format!("authorization {{ {authorization} }}"));
    }
    if let Some(password) = settings.system_password {
        sections.push(format!("accounts {{ $SYS {{ users: [{{ user: system, password: {password:?} }}] }} }}"));
    }
    if settings.ports.len() > 1 {
        sections.push(cluster_of(ports.cluster, settings));
    }
    sections.push(String::new());
    sections.join("\n")
}

fn cluster_of(listen: u16, settings: &Settings<'_>) -> String {
    let (routes, elsewhere) = match settings.via {
        Some(via) => (via.to_vec(), format!("advertise: {NOWHERE:?}, no_advertise: true, ")),
        None => {
            let ports = settings.ports.iter().map(|ports| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.cluster)));
            (ports.collect(), String::new())
        }
    };
    let routes: Vec<_> = routes.iter().map(|address| format!("nats://{address}")).collect();
    let routes = routes.join(", ");
    format!("cluster {{ name: huddle, listen: \"127.0.0.1:{listen}\", {elsewhere}routes: [{routes}] }}")
}
