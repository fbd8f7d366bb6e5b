//! `huddle up`: everything on this machine.

mod cluster;
mod embedded;

use std::{path::PathBuf, time::Duration};

use anyhow::anyhow;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{config::ConfigArgs, failure::Failure};

/// A second signal within this time is the first one, passed on by a wrapper as well as by the terminal.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// Run everything on this machine, with a demo team: in one process, or as a cluster with NATS and Postgres.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs gateway, history, directory and persistence in one process, over one file in the data directory. Prints the URL of
its page, a team, two tokens and commands to paste. Ctrl-C stops it; the next start finds the data again. Addresses that
are not set give way to free ones when they are taken.

Without `auth.secret` a random one is made and kept in the data directory: for this machine only. To listen where others
can reach it, set `auth.secret` (or `auth.secret_file`) to a secret of your own.

With --cluster it starts nats-server and Postgres with their data below the data directory, on ports of 127.0.0.1 that
are free (those of the last time, if they still are), then the four services as processes of their own. It writes its own
configuration file; --set and the log options reach every service, other sources of configuration do not. The servers
come from `cargo xtask tools`, or from HUDDLE_NATS_SERVER and HUDDLE_POSTGRES_BIN.

Examples:
  huddle up
  huddle up --memory --set gateway.listen=127.0.0.1:9000
  huddle up --data-dir /var/lib/huddle --set gateway.listen=0.0.0.0:8080 --set auth.secret_file=/etc/huddle/secret
  huddle up --cluster --data-dir ./try --set gateway.heartbeat=2s --log-filter info,huddle_gateway=debug")]
pub(crate) struct Args {
    /// Run the cluster stack: real NATS and Postgres, services as separate processes.
    #[arg(long)]
    cluster: bool,
    /// Where data and secrets are kept; with --cluster also logs and the generated configuration.
    #[arg(long, value_name = "DIR", default_value = "huddle-data")]
    data_dir: PathBuf,
    /// Keep nothing: the data is in memory where the system allows it, and gone at the end.
    #[arg(long, conflicts_with_all = ["cluster", "data_dir"])]
    memory: bool,
    /// When ready, print one JSON object with addresses, tokens and process ids instead of a text.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    if args.cluster { Box::pin(cluster::run(args, config)).await } else { Box::pin(embedded::run(args, config)).await }
}

async fn second_signal() -> Result<(), Failure> {
    sleep(ONE_SIGNAL).await;
    // These streams see what comes from now on.
    Signals::new()?.next().await;
    Ok(())
}

/// SIGINT, SIGTERM, and SIGHUP of a terminal that closes.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(anyhow!("cannot listen for signals: {error}")));
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
