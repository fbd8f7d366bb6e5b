//! `huddle history`: the read side as a process.

use std::time::Duration;

use huddle_history::{CALL_TIME_MAX, Parts, Server};

use crate::{config::ConfigArgs, failure::Failure, process::Process};

/// How long calls under way may take to finish after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Run the history service: gRPC reads of what is stored.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs NATS (section `log`), Postgres (section `store`) and `auth`. Listens on `history.listen`; health and metrics are
at `admin.history`.

Examples:
  huddle history --config huddle.toml
  huddle history --set history.listen=0.0.0.0:7401")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let process =
        Process::start(config, "admin.history", |it| it.admin.history, &["history"], |_| DRAIN_TIMEOUT).await?;
    let verifier = process.verifier().await?;
    let store = process.store_for_calls(CALL_TIME_MAX).await?;
    let log = process.log().await?;
    let server = Server::bind(Parts {
        config: process.config.history.clone(),
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
    process.lifecycle.spawn("history", server.run(process.shutdown()));
    process.run().await
}
