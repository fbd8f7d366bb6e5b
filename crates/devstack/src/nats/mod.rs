//! Owns a NATS deployment of one or three nodes on this machine.

mod monitor;
mod node;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::data_dir::DataDir;
use crate::{Durability, Tools, ports};

pub use node::NatsNode;
use node::{NodePorts, Settings};

/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 5;

/// A cluster elects its leader within a few seconds; a busy machine needs longer.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Which nats-server to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsRelease {
    /// The one that Huddle is built for.
    Current,
    /// One that is too old for Huddle, for the test that it is refused.
    Old,
}

/// What to start. The default is one node with JetStream that syncs every write, in a temporary directory.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// 1, or 3 for a cluster.
    pub nodes: usize,
    /// Where the data stays, or `None` for a temporary directory that is removed with the [`Nats`].
    pub data_dir: Option<PathBuf>,
    /// Which nats-server to run.
    pub release: NatsRelease,
    /// Whether JetStream is enabled.
    pub jetstream: bool,
    /// [`Durability::Synced`] is `sync_interval: always`; [`Durability::Relaxed`] syncs every two minutes.
    pub durability: Durability,
    /// The client port of the first node, when it is free; another is taken otherwise.
    pub preferred_port: Option<u16>,
    /// What stands in the `authorization` of the configuration: without it, whoever connects may do everything.
    pub authorization: Option<String>,
    /// The password of a user `system` in the system account, who may make the leader of the meta group step down; whoever
    /// connects without a name is served as ever. Not together with [`NatsOptions::authorization`].
    pub system_password: Option<String>,
    /// How the nodes of a cluster reach each other, when that is not directly.
    pub routes: Option<Routes>,
}

/// Routes between the nodes of a cluster that lead through other addresses than the nodes' own, such as those of proxies.
/// The nodes make no other routes, and tell their clients of no other addresses than the one that a client knows.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Where each node listens for the others, on 127.0.0.1. They must be free: no others are tried.
    pub ports: Vec<u16>,
    /// Of each node, in the order of the nodes: the addresses at which it looks for the others.
    pub via: Vec<Vec<SocketAddr>>,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            nodes: 1,
            data_dir: None,
            release: NatsRelease::Current,
            jetstream: true,
            durability: Durability::Synced,
            preferred_port: None,
            authorization: None,
            system_password: None,
            routes: None,
        }
    }
}

impl NatsOptions {
    /// Three nodes that form a JetStream cluster.
    pub fn cluster() -> Self {
        Self { nodes: 3, ..Self::default() }
    }
}

/// Running nats-server processes. Dropping it kills them and then removes a temporary data directory.
#[derive(Debug)]
pub struct Nats {
    // Before the directory: fields are dropped in this order.
    nodes: Vec<NatsNode>,
    data_dir: DataDir,
}

impl Nats {
    /// Starts the nodes and waits until they can be used: a client is answered, and JetStream is ready (in a cluster:
    /// it has a leader, and every node is current).
    ///
    /// # Errors
    /// When the binary is missing or a node is not ready after a minute; the error quotes the log of that node.
    pub async fn start(tools: &Tools, options: NatsOptions) -> Result<Self> {
        if !matches!(options.nodes, 1 | 3) {
            bail!("a NATS deployment has 1 or 3 nodes here, not {}", options.nodes);
        }
        if let Some(routes) = &options.routes
            && (routes.ports.len() != options.nodes || routes.via.len() != options.nodes)
        {
            bail!("there are routes for another number of nodes than {}", options.nodes);
        }
        let binary = match options.release {
            NatsRelease::Current => tools.nats_server()?,
            NatsRelease::Old => tools.nats_server_old()?,
        };
        let data_dir = DataDir::prepare(options.data_dir.as_deref(), "huddle-nats-")?;
        let mut nats = Self { nodes: Vec::new(), data_dir };
        for _ in 1..START_ATTEMPTS_MAX {
            match nats.try_start(&binary, &options).await {
                Err(_) if nats.nodes.iter_mut().any(NatsNode::found_its_port_taken) => nats.nodes.clear(),
                outcome => return outcome.map(|()| nats),
            }
        }
        nats.try_start(&binary, &options).await.map(|()| nats)
    }

    /// The URL for clients: of a cluster, that of the first node (its clients learn the others from it).
    pub fn url(&self) -> String {
        self.nodes.first().map(NatsNode::url).unwrap_or_default()
    }

    /// The client URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsNode::url).collect()
    }

    /// Node `index`, from 0.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&mut self, index: usize) -> &mut NatsNode {
        &mut self.nodes[index]
    }

    /// The index of the node that leads JetStream's meta group, or `None` while there is none (or no cluster).
    pub async fn leader(&self) -> Option<usize> {
        for node in &self.nodes {
            let Ok(jetstream) = monitor::jetstream(node.monitor_port()).await else { continue };
            if let Some(leader) = jetstream.leader {
                return self.nodes.iter().position(|node| node.name() == leader);
            }
        }
        None
    }

    /// Where the nodes keep their data, configuration and logs.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Kills every node with SIGKILL; those that have ended already are fine.
    pub fn kill9(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if node.is_running() {
                node.kill9()?;
            }
        }
        Ok(())
    }

    /// Stops every node in good order, all at once; SIGKILL follows for one that takes longer than 5 s.
    pub async fn stop(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.ask_to_stop()?;
        }
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    /// Starts every node that does not run, on its old port with its old data, and waits until all can be used.
    pub async fn restart(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if !node.is_running() {
                node.spawn()?;
            }
        }
        self.wait_until_ready().await
    }

    /// Waits until every node can be used, as [`Nats::start`] does.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        for node in &mut self.nodes {
            node.wait_until_answering(deadline).await?;
        }
        let cluster_size = self.nodes.len();
        for node in &mut self.nodes {
            node.wait_until_healthy(cluster_size, deadline).await?;
        }
        Ok(())
    }

    async fn try_start(&mut self, binary: &Path, options: &NatsOptions) -> Result<()> {
        let mut ports = Vec::with_capacity(options.nodes);
        for index in 0..options.nodes {
            let preferred = options.preferred_port.filter(|_| index == 0);
            ports.push(NodePorts {
                client: ports::free_port_near(preferred)?,
                monitor: ports::free_port()?,
                cluster: options.routes.as_ref().map_or_else(ports::free_port, |routes| Ok(routes.ports[index]))?,
            });
        }
        for index in 0..options.nodes {
            let settings = Settings {
                binary,
                directory: self.data_dir.path(),
                ports: &ports,
                jetstream: options.jetstream,
                durability: options.durability,
                authorization: options.authorization.as_deref(),
                system_password: options.system_password.as_deref(),
                via: options.routes.as_ref().map(|routes| routes.via[index].as_slice()),
            };
            self.nodes.push(NatsNode::start(index, &settings).context("cannot start nats-server")?);
        }
        self.wait_until_ready().await
    }
}
