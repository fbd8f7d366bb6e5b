//! Everything in this process, over one file.

use std::{pin::pin, time::Duration};

use anyhow::anyhow;

use super::{Args, Signals, second_signal};
use crate::{
    config::ConfigArgs,
    failure::Failure,
    stack::{
        Ready,
        single::{Fixed, Place, Plan, Single},
    },
};

/// How long the gateway takes to send its clients away, unless it was set: nobody takes over from this process.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs until a signal, or until a part of it has failed.
pub(super) async fn run(args: Args, sources: &ConfigArgs) -> Result<(), Failure> {
    let plan = plan(&args, sources)?;
    let mut signals = Signals::new()?;
    let tell = move |ready: &Ready| {
        if args.json {
            println!("{}", ready.json());
        } else {
            print!("{}", ready.text());
        }
    };
    let single = tokio::select! {
        single = Box::pin(Single::start(plan, tell)) => single?,
        () = signals.next() => return Ok(()),
    };
    let shutdown = single.shutdown();
    let mut running = pin!(single.run());
    tokio::select! {
        outcome = &mut running => return outcome,
        () = signals.next() => shutdown.request(),
    }
    tokio::select! {
        outcome = running => outcome,
        heard = second_signal() => {
            heard?;
            Err(Failure::failed(anyhow!("stopped at once after a second signal")))
        }
    }
}

fn plan(args: &Args, sources: &ConfigArgs) -> Result<Plan, Failure> {
    let mut config = sources.load_for_one_process()?;
    if !sources.is_set("gateway.drain") {
        config.gateway.drain = DRAIN;
    }
    let fixed = Fixed::those(|setting| sources.is_set(setting));
    let place = if args.memory { Place::memory()? } else { Place::kept(args.data_dir.clone()) };
    Ok(Plan { config, fixed, place })
}
