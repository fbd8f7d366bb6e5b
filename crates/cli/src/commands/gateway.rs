//! `huddle gateway`: the edge as a process.

use std::time::Duration;

use anyhow::anyhow;
use huddle_gateway::{Parts, Upstream, bind};

use crate::{config::ConfigArgs, failure::Failure, process::Process};

/// Added to `gateway.drain` before connections that are still open are cut off.
const DRAIN_MARGIN: Duration = Duration::from_secs(3);

/// Run a gateway: WebSockets and HTTP for clients.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs NATS (section `log`), `auth`, and the history and directory services (`gateway.history_url`,
`gateway.directory_url`). Listens on `gateway.listen`; health and metrics are at `admin.gateway`. Run as many as you like.

On SIGTERM it sends its clients elsewhere over `gateway.drain`; a second signal ends it at once.

Examples:
  huddle gateway --config huddle.toml
  huddle gateway --set gateway.listen=0.0.0.0:8080 --set admin.gateway=127.0.0.1:9610")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let components = &["log", "history", "directory"];
    let process = Process::start(
        config,
        "admin.gateway",
        |it| it.admin.gateway,
        components,
        |it| it.gateway.drain + DRAIN_MARGIN,
    )
    .await?;
    let Some(service_token) = process.config.auth.service_token.clone() else {
        let problem = "`auth.service_token` is not set, and the gateway asks history and directory with it";
        return Err(Failure::usage(anyhow!("{problem}; make one with `openssl rand -base64 48`")));
    };
    let verifier = process.verifier().await?;
    let log = process.log().await?;
    let bus = process.bus().await?;
    let server = bind(Parts {
        config: process.config.gateway.clone(),
        log,
        bus,
        verifier,
        upstream: Upstream::Urls,
        service_token: service_token.expose().to_owned(),
        metrics: process.metrics.clone(),
        readiness: process.readiness.clone(),
        demo: None,
    })
    .await
    .map_err(Failure::failed)?;
    tracing::info!(address = %server.local_addr(), "gateway listens");
    process.lifecycle.spawn("gateway", server.run(process.shutdown()));
    process.run().await
}
