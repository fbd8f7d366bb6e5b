//! `huddle persistence`: the write side as a process.

use std::time::Duration;

use huddle_persistence::{Parts, Persistence};

use crate::{
    config::ConfigArgs,
    failure::Failure,
    process::{Process, connect_log, prepare_log},
};

/// How long batches under way may take to finish after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Run persistence: carries the log into Postgres.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs NATS (section `log`), Postgres (section `store`) and `auth`. Creates the partitions of the log that are missing.
Listens nowhere; health and metrics are at `admin.persistence`. Run several: each partition has one owner at a time, and
another takes over within seconds.

Examples:
  huddle persistence --config huddle.toml
  huddle persistence --set admin.persistence=127.0.0.1:9613")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let process =
        Process::start(config, "admin.persistence", |it| it.admin.persistence, &["persistence"], |_| DRAIN_TIMEOUT)
            .await?;
    let store = process.store().await?;
    let log = connect_log(&process.config).await?;
    prepare_log(&process.config, &log, &store).await?;
    let persistence = Persistence::new(Parts {
        config: process.config.persistence.clone(),
        log,
        store,
        metrics: &process.metrics,
        readiness: &process.readiness,
    });
    process.lifecycle.spawn("persistence", persistence.run(process.shutdown()));
    process.run().await
}
