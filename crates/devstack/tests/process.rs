//! Child processes: their ends are seen, and none outlives us, whichever way we go.

use std::process::Command;
use std::time::{Duration, Instant};

use huddle_devstack::{Nats, NatsOptions, Process, Signal, Tools};
use tokio::net::TcpStream;

const BOUND: Duration = Duration::from_secs(20);

/// Makes this test program play the victim of [`a_server_ends_with_a_killed_parent`]; names the file for the URL.
const VICTIM: &str = "HUDDLE_DEVSTACK_TEST_VICTIM";

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn output_is_waited_for_and_an_early_end_is_an_error_with_the_log() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("logs/sh.log");
    let mut process = Process::spawn("sh", shell("echo ready; exec sleep 600"), &log)?;
    process.wait_for_output("ready", BOUND).await?;
    assert!(process.is_running());
    assert!(process.wait(Duration::ZERO).await.is_err());

    let mut process = Process::spawn("sh", shell("echo out of luck >&2; exit 3"), &log)?;
    let error = process.wait_for_output("ready", BOUND).await.unwrap_err().to_string();
    assert!(error.contains("out of luck") && error.contains("exit status: 3"), "{error}");
    assert!(process.signal(Signal::Terminate).is_err(), "its pid may be somebody else's by now");
    Ok(())
}

#[tokio::test]
async fn a_process_that_ignores_the_request_to_stop_is_killed() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let mut process = Process::spawn("sh", shell(script), &directory.path().join("log"))?;
    process.wait_for_output("ready", BOUND).await?;
    let status = process.stop(Signal::Terminate, Duration::from_millis(50)).await?;
    assert!(!status.success());
    assert!(!process.is_running());
    Ok(())
}

#[tokio::test]
async fn a_paused_process_stands_still_and_can_be_stopped() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::spawn("sh", shell(script), &directory.path().join("log"))?;
    process.wait_for_output("ready", BOUND).await?;
    process.pause()?;
    assert!(process.stop(Signal::Terminate, BOUND).await?.success());
    assert!(process.output()?.contains("bye"));
    Ok(())
}

#[tokio::test]
async fn a_server_ends_with_a_panic() -> anyhow::Result<()> {
    let nats = Nats::start(&Tools::locate()?, NatsOptions::default()).await?;
    let (url, data_dir) = (nats.url(), nats.data_dir().to_owned());
    let panicked = tokio::spawn(async move {
        let _held = nats;
        panic!("on purpose");
    });
    assert!(panicked.await.is_err());
    assert!(!answers(&url).await);
    assert!(!data_dir.exists());
    Ok(())
}

#[tokio::test]
async fn a_server_ends_with_a_killed_parent() -> anyhow::Result<()> {
    if let Some(file) = std::env::var_os(VICTIM) {
        let nats = Nats::start(&Tools::locate()?, NatsOptions { jetstream: false, ..NatsOptions::default() }).await?;
        std::fs::write(file, nats.url() + "\n")?;
        std::future::pending::<()>().await;
    }
    let directory = tempfile::tempdir()?;
    let (url_file, log) = (directory.path().join("url"), directory.path().join("log"));
    let mut victim = Command::new(std::env::current_exe()?);
    victim
        .args(["--exact", "a_server_ends_with_a_killed_parent"])
        .env(VICTIM, &url_file)
        .env("TMPDIR", directory.path());
    let mut victim = Process::spawn("victim", victim, &log)?;
    let deadline = Instant::now() + BOUND;
    let url = loop {
        match std::fs::read_to_string(&url_file) {
            Ok(url) if url.ends_with('\n') => break url.trim().to_owned(),
            _ => assert!(Instant::now() < deadline && victim.is_running(), "no server: {}", victim.log_tail(20)),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(answers(&url).await);
    victim.kill9()?;
    while answers(&url).await {
        assert!(Instant::now() < deadline, "the server outlived its parent");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn answers(url: &str) -> bool {
    TcpStream::connect(url.trim_start_matches("nats://")).await.is_ok()
}
