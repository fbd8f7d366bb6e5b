//! Which instance to export from or import to: an embedded one, or the cluster of the configuration.

use std::{path::PathBuf, sync::Arc};

use anyhow::anyhow;
use huddle_embedded::Embedded;
use huddle_log::Log;
use huddle_store::EventStore;
use huddle_store_postgres::PostgresStore;
use huddle_transfer::Target;

use crate::{
    config::{Config, ConfigArgs},
    failure::Failure,
    process::{connect_log, connect_store},
};

#[derive(Debug, clap::Args)]
pub(crate) struct InstanceArgs {
    /// The embedded instance in this directory. Default: the cluster that the configuration names.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// An instance to read from.
pub(crate) struct Readable(Arc<dyn EventStore>);

/// An instance to write to.
pub(crate) enum Writable {
    Embedded(Arc<Embedded>),
    Cluster { log: Arc<dyn Log>, store: Arc<PostgresStore> },
}

impl InstanceArgs {
    /// Opens the instance beside whoever writes it.
    pub(crate) async fn open_for_reading(&self, config: &Config) -> Result<Readable, Failure> {
        Ok(Readable(match self.embedded(config) {
            Some(config) => Embedded::open_read_only(&config).await.map_err(Failure::failed)?,
            None => connect_store(config).await?,
        }))
    }

    /// Opens the instance as the only one who writes it. An embedded one that is not there is made.
    pub(crate) async fn open_for_writing(&self, config: &Config) -> Result<Writable, Failure> {
        Ok(match self.embedded(config) {
            Some(config) => Writable::Embedded(Embedded::open(&config).await.map_err(Failure::failed)?),
            None => Writable::Cluster { log: connect_log(config).await?, store: connect_store(config).await? },
        })
    }

    /// Reads the configuration, and sets up a quiet log output.
    pub(crate) fn config(&self, args: &ConfigArgs) -> Result<Config, Failure> {
        args.init_quiet_telemetry()?;
        if self.data_dir.is_some()
            && let Some(setting) = args.cluster_setting()
        {
            return Err(Failure::usage(anyhow!(
                "--data-dir names an embedded instance, and the setting `{setting}` a cluster: leave one of them out"
            )));
        }
        args.load()
    }

    fn embedded(&self, config: &Config) -> Option<huddle_embedded::Config> {
        let directory = self.data_dir.clone()?;
        Some(huddle_embedded::Config { directory, ..config.embedded.clone() })
    }
}

impl Readable {
    pub(crate) fn store(&self) -> &dyn EventStore {
        &*self.0
    }
}

impl Writable {
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Self::Embedded(embedded) => Target { log: &**embedded, partitions: &**embedded, events: &**embedded },
            Self::Cluster { log, store } => Target { log: &**log, partitions: &**store, events: &**store },
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }

    /// Finishes what is queued.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(embedded) => embedded.close().await,
            Self::Cluster { .. } => {}
        }
    }
}

/// A failure on the way, with what to do when trying again may help.
pub(crate) fn failure(error: impl Into<anyhow::Error>, is_retryable: bool) -> Failure {
    if is_retryable {
        Failure::with_advice(error, "run the same command again, it goes on where this one stopped")
    } else {
        Failure::failed(error)
    }
}
