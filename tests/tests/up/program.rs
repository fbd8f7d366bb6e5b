//! Starts and stops of `huddle up`.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use huddle_devstack::{Process, Signal};
use huddle_tests::{Stage, huddle, told};
use serde_json::Value;

/// A machine under load included; how fast it is, a test measures.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// The promise: it has ended this soon after Ctrl-C.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The command line of `huddle up` on free ports, without a data directory.
pub(crate) fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = huddle()?;
    command.arg("up").args(arguments).current_dir("/");
    Ok(command)
}

/// Starts it over the stage's data.
pub(crate) fn start(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = command(arguments)?;
    command.arg("--data-dir").arg(&stage.data);
    Process::spawn_with_last_signal(name, command, &stage.log(name), Signal::Interrupt)
}

/// Starts it and returns what it says as JSON, and how long that took.
pub(crate) async fn start_and_ready(stage: &Stage, name: &str) -> Result<(Process, Value, Duration)> {
    let begin = Instant::now();
    let mut up = start(stage, name, &["--json"])?;
    let told = told(&mut up, READY_TIMEOUT).await?;
    let took = begin.elapsed();
    assert_eq!((&told["team"], &told["mode"]), (&"demo".into(), &"embedded".into()));
    Ok((up, told, took))
}

/// Ctrl-C, and the promise that goes with it.
pub(crate) async fn stop(up: &mut Process) -> Result<()> {
    up.signal(Signal::Interrupt)?;
    let status = up.wait(STOP_MAX).await?;
    assert_eq!(status.code(), Some(0), "{}", up.output()?);
    Ok(())
}
