//! `huddle up`: everything on this machine.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::anyhow;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    config::ConfigArgs,
    failure::Failure,
    stack::{DataDir, Plan, Progress, Stack},
};

/// How often it is looked whether a process has ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A second signal within this time is the first one, passed on by a wrapper as well as by the terminal.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// Run everything on this machine: NATS, Postgres, the four services, and a demo team.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts nats-server and Postgres with their data below the data directory, on ports of 127.0.0.1 that are free (those of
the last time, if they still are), then gateway, history, directory and persistence as processes of their own. Prints a
team, two tokens and commands to paste. Ctrl-C stops everything; the next start finds the data again.

It writes its own configuration file; --set and the log options reach every service, other sources of configuration do
not. The servers come from `cargo xtask tools`, or from HUDDLE_NATS_SERVER and HUDDLE_POSTGRES_BIN.

Examples:
  huddle up --cluster
  huddle up --cluster --data-dir ./try --set gateway.heartbeat=2s --log-filter info,huddle_gateway=debug")]
pub(crate) struct Args {
    /// Run the cluster stack: real NATS and Postgres, services as separate processes.
    #[arg(long)]
    cluster: bool,
    /// Where data, secrets, logs and the generated configuration are kept.
    #[arg(long, value_name = "DIR", default_value = "huddle-data")]
    data_dir: PathBuf,
    /// When ready, print one JSON object with addresses, tokens and process ids instead of a text.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    if !args.cluster {
        return Err(Failure::usage(anyhow!(
            "this version has the cluster stack only: run `huddle up --cluster` (NATS, Postgres and four services on this machine)"
        )));
    }
    config.init_quiet_telemetry()?;
    let mut signals = Signals::new()?;
    let data_dir = Arc::new(DataDir::open(&args.data_dir)?);
    let progress = Progress::new();
    let plan = Plan { data_dir, service_arguments: config.arguments() };
    let mut stack = Stack::default();

    let outcome = run_until_end(&mut stack, &plan, &progress, &mut signals, args.json).await;
    if stack.is_empty() {
        return outcome;
    }
    progress.say("stopping");
    let finished = tokio::select! {
        () = stack.stop() => true,
        heard = second_signal() => {
            heard?;
            false
        }
    };
    if finished {
        progress.say("stopped");
        outcome
    } else {
        stack.kill();
        outcome.and(Err(Failure::failed(anyhow!("killed everything after a second signal"))))
    }
}

async fn second_signal() -> Result<(), Failure> {
    sleep(ONE_SIGNAL).await;
    // These streams see what comes from now on.
    Signals::new()?.next().await;
    Ok(())
}

/// Brings the stack up and watches over it. Returns after a signal, or when something went wrong.
async fn run_until_end(
    stack: &mut Stack,
    plan: &Plan,
    progress: &Progress,
    signals: &mut Signals,
    json: bool,
) -> Result<(), Failure> {
    let ready = tokio::select! {
        ready = Box::pin(stack.bring_up(plan, progress)) => ready?,
        () = signals.next() => return Ok(()),
    };
    if json {
        println!("{}", ready.json());
    } else {
        print!("{}", ready.text());
    }
    loop {
        if let Some(end) = stack.find_ended() {
            return Err(Failure::failed(end));
        }
        tokio::select! {
            () = sleep(WATCH_INTERVAL) => {}
            () = signals.next() => return Ok(()),
        }
    }
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
