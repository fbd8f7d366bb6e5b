//! Owns the choice between the two backends, for tests that hold on both.

use std::{ops::Deref, path::PathBuf};

use anyhow::Result;

use crate::{Access, Cluster, ClusterOptions, Single, SingleOptions};

/// What Huddle runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// NATS and Postgres, each service a process of its own, several gateways and replicas of persistence.
    Cluster,
    /// `huddle up`: one process over one file.
    Embedded,
}

/// What to start, on either backend.
#[derive(Debug, Clone)]
pub struct DeploymentOptions {
    /// Gateways. Of one process there is one, which stands for all.
    pub gateways: usize,
    /// Partitions of the log.
    pub partitions: u16,
    /// Settings of all processes of `huddle`, such as `("gateway.drain", "1s")`.
    pub settings: Vec<(String, String)>,
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self { gateways: 2, partitions: 1, settings: Vec::new() }
    }
}

/// A running deployment. Every process ends when it is dropped, on a panic too.
#[derive(Debug)]
pub enum Deployment {
    /// On NATS and Postgres.
    Cluster(Box<Cluster>),
    /// In one process.
    Embedded(Box<Single>),
}

impl Deployment {
    /// Starts everything and waits until all of it is ready.
    pub async fn start(backend: Backend, options: DeploymentOptions) -> Result<Self> {
        let DeploymentOptions { gateways, partitions, settings } = options;
        Ok(match backend {
            Backend::Cluster => {
                let options = ClusterOptions { gateways, partitions, settings, ..ClusterOptions::default() };
                Self::Cluster(Box::new(Box::pin(Cluster::start(options)).await?))
            }
            Backend::Embedded => {
                let options = SingleOptions { partitions, settings, ..SingleOptions::default() };
                Self::Embedded(Box::new(Box::pin(Single::start(options)).await?))
            }
        })
    }

    /// Waits until the store holds everything that the log does.
    pub async fn wait_until_stored(&mut self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.wait_until_stored().await,
            Self::Embedded(single) => single.wait_until_stored().await,
        }
    }

    /// Kills every process of `huddle` with SIGKILL, starts all of them again, and waits until they are ready.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.kill_and_restart().await,
            Self::Embedded(single) => single.service.restart().await,
        }
    }

    /// The id of the process that a gateway is.
    pub fn gateway_pid(&mut self, gateway: usize) -> u32 {
        match self {
            Self::Cluster(cluster) => cluster.gateways[gateway].process().pid(),
            Self::Embedded(single) => single.service.process().pid(),
        }
    }

    /// The logs of all processes, those of the backends too.
    pub fn logs(&mut self) -> Vec<PathBuf> {
        match self {
            Self::Cluster(cluster) => cluster.logs(),
            Self::Embedded(single) => vec![single.service.process().log_path().to_owned()],
        }
    }

    /// Ends a test that went well, and checks what holds after each: nothing is left unstored, nothing became a dead
    /// letter, nothing panicked, and every process that still runs ends in good order after SIGTERM.
    pub async fn finish(self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => Box::pin(cluster.finish()).await,
            Self::Embedded(single) => Box::pin(single.finish()).await,
        }
    }
}

impl Deref for Deployment {
    type Target = Access;

    fn deref(&self) -> &Access {
        match self {
            Self::Cluster(cluster) => cluster,
            Self::Embedded(single) => single,
        }
    }
}

/// Makes two tests of each named function, which takes a [`Backend`]: `name::cluster` and `name::embedded`.
#[macro_export]
macro_rules! on_both_backends {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[tokio::test(flavor = "multi_thread")]
                async fn cluster() -> ::anyhow::Result<()> {
                    ::std::boxed::Box::pin(super::$name($crate::Backend::Cluster)).await
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn embedded() -> ::anyhow::Result<()> {
                    ::std::boxed::Box::pin(super::$name($crate::Backend::Embedded)).await
                }
            }
        )+
    };
}
