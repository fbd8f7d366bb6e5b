//! `huddle up --cluster` as a newcomer uses it: start it, paste what it prints, stop it, start it again.

use std::{
    collections::BTreeSet,
    env, fs,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::{Process, Signal};
use huddle_tests::{Stage, command_in, huddle, told, until};
use serde_json::Value;

/// From nothing to ready, `initdb` and all.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// The promise: everything is gone this soon after Ctrl-C.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How long a child's death may go unnoticed, and what the stop of the others takes.
const NOTICE_MAX: Duration = Duration::from_secs(10);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The last words of what is printed when all is ready.
const READY: &str = "Ctrl-C stops everything";
/// Everything that runs beside `huddle up` itself.
const CHILDREN: [&str; 6] = ["nats", "postgres", "persistence", "history", "directory", "gateway"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_works_when_pasted_and_the_data_is_there_again() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    // Somebody has the port that everybody takes. When it is not this test, it is another.
    let _taken = TcpListener::bind("127.0.0.1:8080");

    let mut up = start(&stage, "first", &[])?;
    up.wait_for_output(READY, READY_TIMEOUT).await?;
    let told = up.output()?;
    let (tail, send) = (command_in(&told, " tail ")?, command_in(&told, " send ")?);
    assert!(!tail.contains(":8080/"), "the port that is taken: {tail}");
    let mut tail = stage.shell("tail", &tail)?;
    tail.wait_for_output("following demo", COMMAND_TIMEOUT).await?;
    stage.run_shell("send-1", &send).await?;
    tail.wait_for_output("alice: hello, bob", COMMAND_TIMEOUT).await?;

    let mut other = start(&stage, "second", &[])?;
    let status = other.wait(COMMAND_TIMEOUT).await?;
    let refused = other.output()?;
    assert_eq!(status.code(), Some(1), "{refused}");
    for word in ["another `huddle up`", &format!("(pid {})", up.pid()), "--data-dir"] {
        assert!(refused.contains(word), "{word} is not in: {refused}");
    }
    stage.run_shell("send-2", &send).await?;
    stop(&mut up, &stage).await?;

    // The tail of before is still there, and goes on by itself where the data is found again.
    let (mut up, told) = start_and_ready(&stage, "third").await?;
    assert!(descendants(up.pid())?.len() >= CHILDREN.len());
    stage.run_shell("send-3", &send).await?;
    until("the tail goes on", COMMAND_TIMEOUT, async || {
        Ok((tail.output()?.matches("alice: hello, bob").count() >= 3).then_some(()))
    })
    .await?;
    stage.assert_messages("all-3", &told, 3).await?;
    assert_eq!(tail.output()?.matches("alice: hello, bob").count(), 3, "{}", tail.output()?);
    stop(&mut up, &stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_named_and_nothing_is_left_behind() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    // Nobody has to wait for the start before the stop.
    let mut up = start(&stage, "interrupted", &[])?;
    up.wait_for_output("starting Postgres", READY_TIMEOUT).await?;
    stop(&mut up, &stage).await?;

    let mut messages = 0;
    for child in CHILDREN {
        let (mut up, told) = start_and_ready(&stage, &format!("before-{child}")).await?;
        messages += 1;
        send(&stage, &format!("send-{child}"), &told).await?;
        let children = descendants(up.pid())?;
        let pid = told["pids"][child].as_u64().with_context(|| format!("no pid of {child}: {told}"))?;
        assert!(children.iter().any(|process| u64::from(process.pid) == pid), "{child} is no child");
        kill9(pid)?;
        let begin = Instant::now();
        let status = up.wait(NOTICE_MAX).await?;
        let said = up.output()?;
        assert_eq!(status.code(), Some(1), "{child}: {said}");
        let name = if child == "nats" { "nats-server" } else { child };
        for word in [name, &format!("(pid {pid})"), "ended unexpectedly"] {
            assert!(said.contains(word), "{child}: {word} is not in: {said}");
        }
        assert_gone(&children, begin + NOTICE_MAX).await?;
    }

    // The end of `huddle up` itself, without a chance to stop anything.
    let (mut up, told) = start_and_ready(&stage, "before-itself").await?;
    messages += 1;
    send(&stage, "send-itself", &told).await?;
    let children = descendants(up.pid())?;
    assert!(children.len() >= CHILDREN.len(), "{children:?}");
    up.kill9()?;
    assert_gone(&children, Instant::now() + NOTICE_MAX).await?;

    let (mut up, told) = start_and_ready(&stage, "after-all").await?;
    stage.assert_messages("all", &told, messages).await?;
    stop(&mut up, &stage).await
}

fn start(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = huddle()?;
    // It finds the servers below the checkout, as it would when started there, or where this test finds them.
    command.args(["up", "--cluster", "--data-dir"]).arg(&stage.data).args(arguments);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for variable in ["HUDDLE_NATS_SERVER", "HUDDLE_POSTGRES_BIN"] {
        command.envs(env::var_os(variable).map(|value| (variable, value)));
    }
    Process::spawn_with_last_signal(name, command, &stage.log(name), Signal::Interrupt)
}

/// Starts it and returns what it says as JSON.
async fn start_and_ready(stage: &Stage, name: &str) -> Result<(Process, Value)> {
    let mut up = start(stage, name, &["--json"])?;
    let told = told(&mut up, READY_TIMEOUT).await?;
    assert_eq!(told["team"], "demo");
    Ok((up, told))
}

async fn send(stage: &Stage, name: &str, told: &Value) -> Result<()> {
    stage.huddle(name, told, "alice", &["send", "hello, bob"]).await.map(drop)
}

/// Ctrl-C, and the promise that goes with it.
async fn stop(up: &mut Process, stage: &Stage) -> Result<()> {
    let children = descendants(up.pid())?;
    let begin = Instant::now();
    up.signal(Signal::Interrupt)?;
    let status = up.wait(STOP_MAX).await?;
    assert_eq!(status.code(), Some(0), "{}", up.output()?);
    assert_gone(&children, begin + STOP_MAX).await?;
    let users = users_of(&stage.data)?;
    assert!(users.is_empty(), "still at work on the data: {users:?}");
    Ok(())
}

/// A process of some moment: pids are used again, starts are not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    pid: u32,
    started: u64,
    name: String,
}

struct Stat {
    seen: Seen,
    parent: u32,
    is_dead: bool,
}

/// What `/proc/<pid>/stat` says; `None` when there is no such process.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name is in parentheses, and may hold any of its own.
    let (head, rest) = text.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let seen = Seen { pid, started: fields.get(19)?.parse().ok()?, name: name.to_owned() };
    Some(Stat { seen, parent: fields.get(1)?.parse().ok()?, is_dead: matches!(*fields.first()?, "Z" | "X") })
}

/// All processes below `pid`.
fn descendants(pid: u32) -> Result<Vec<Seen>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
    let all: Vec<Stat> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat).collect();
    let mut family = BTreeSet::from([pid]);
    loop {
        let known = family.len();
        family
            .extend(all.iter().filter(|one| family.contains(&one.parent)).map(|one| one.seen.pid).collect::<Vec<_>>());
        if family.len() == known {
            break;
        }
    }
    family.remove(&pid);
    Ok(all.into_iter().filter(|one| family.contains(&one.seen.pid)).map(|one| one.seen).collect())
}

/// The command lines of all processes that were started for the data directory `data`.
fn users_of(data: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    let data = data.display().to_string();
    Ok(lines.filter(|line| line.contains(&data)).collect())
}

/// Waits until `deadline` for all of `processes` to be gone.
async fn assert_gone(processes: &[Seen], deadline: Instant) -> Result<()> {
    let lives = |process: &&Seen| stat(process.pid).is_some_and(|now| now.seen == **process && !now.is_dead);
    let bound = deadline.saturating_duration_since(Instant::now());
    let gone =
        until("every process is gone", bound, async || Ok((!processes.iter().any(|it| lives(&it))).then_some(())));
    gone.await.with_context(|| format!("still there: {:?}", processes.iter().filter(lives).collect::<Vec<_>>()))
}

fn kill9(pid: u64) -> Result<()> {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status().context("cannot start kill")?;
    ensure!(status.success(), "kill: {status}");
    Ok(())
}
