//! `huddle directory`: teams and members as a process.

use std::time::Duration;

use huddle_directory::{CALL_TIME_MAX, Parts, Server};

use crate::{config::ConfigArgs, failure::Failure, process::Process};

/// How long calls under way may take to finish after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Run the directory service: teams, members and roles over gRPC.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs NATS (section `log`), Postgres (section `store`) and `auth`. Listens on `directory.listen`; health and metrics are
at `admin.directory`.

Examples:
  huddle directory --config huddle.toml
  huddle directory --set directory.listen=0.0.0.0:7402")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let process =
        Process::start(config, "admin.directory", |it| it.admin.directory, &["directory"], |_| DRAIN_TIMEOUT).await?;
    let verifier = process.verifier().await?;
    let store = process.store_for_calls(CALL_TIME_MAX).await?;
    let log = process.log().await?;
    let server = Server::bind(Parts {
        config: process.config.directory.clone(),
        log,
        events: store.clone(),
        directory: store.clone(),
        partitions: store,
        verifier,
        metrics: process.metrics.clone(),
        readiness: process.readiness.clone(),
        memory: None,
    })
    .await
    .map_err(Failure::failed)?;
    process.lifecycle.spawn("directory", server.run(process.shutdown()));
    process.run().await
}
