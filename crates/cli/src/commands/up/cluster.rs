//! The cluster stack: NATS, Postgres and the services as child processes.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use tokio::time::sleep;

use super::{Args, Signals, second_signal};
use crate::{
    config::ConfigArgs,
    failure::Failure,
    stack::{DataDir, Plan, Progress, Stack},
};

/// How often it is looked whether a process has ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Runs until a signal, or until one of the processes has ended.
pub(super) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
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
