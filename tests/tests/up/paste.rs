//! As a newcomer uses it: start it, paste what it prints, stop it, start it again.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use huddle_devstack::{Process, Signal};
use huddle_tests::{Stage, command_in, http, raw_ws::RawWs, told, until};
use serde_json::{Value, json};

use crate::program::{READY_TIMEOUT, command, start, start_and_ready, stop};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The promise.
const START_MAX: Duration = Duration::from_secs(1);
/// The last words of what is printed when all is ready.
const READY: &str = "Ctrl-C stops everything";
const FOLLOWED: &str = "alice: hello, bob";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_works_when_pasted_and_the_data_is_there_again() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    // Somebody has the port that everybody takes. When it is not this test, it is another.
    let _taken = TcpListener::bind("127.0.0.1:8080");

    let mut up = start(&stage, "first", &[])?;
    up.wait_for_output(READY, READY_TIMEOUT).await?;
    let said = up.output()?;
    let (tail, send) = (command_in(&said, " tail ")?, command_in(&said, " send ")?);
    assert!(!tail.contains(":8080/"), "the port that is taken: {tail}");
    assert!(said.contains(&format!("Data: {}", stage.data.canonicalize()?.display())), "{said}");
    let page = said.split_whitespace().find(|word| word.starts_with("http://")).context("no page")?.to_owned();
    assert_eq!(http::get(&page, None).await?.status, 200);
    let demo = http::get(&format!("{page}v1/demo"), None).await?.json()?;
    assert_eq!([&demo["members"][0]["user"], &demo["members"][1]["user"]], ["alice", "bob"], "{demo}");
    let mut tail = stage.shell("tail", &tail)?;
    tail.wait_for_output("following demo", COMMAND_TIMEOUT).await?;
    stage.run_shell("send-1", &send).await?;
    tail.wait_for_output(FOLLOWED, COMMAND_TIMEOUT).await?;

    let mut other = start(&stage, "second", &[])?;
    let status = other.wait(COMMAND_TIMEOUT).await?;
    let refused = other.output()?;
    assert_eq!(status.code(), Some(1), "{refused}");
    for word in ["in use", &format!("pid {}", up.pid()), "--data-dir"] {
        assert!(refused.contains(word), "{word} is not in: {refused}");
    }
    stage.run_shell("send-2", &send).await?;
    let secrets = fs::read(stage.data.join("secrets.json"))?;
    stop(&mut up).await?;

    // The tail of before is still there, and goes on by itself where the data is found again.
    let (mut up, told, _) = start_and_ready(&stage, "third").await?;
    assert_eq!(told["http_url"].as_str().map(|url| format!("{url}/")), Some(page));
    assert_eq!(fs::read(stage.data.join("secrets.json"))?, secrets);
    stage.run_shell("send-3", &send).await?;
    until("the tail goes on", COMMAND_TIMEOUT, async || {
        Ok((tail.output()?.matches(FOLLOWED).count() >= 3).then_some(()))
    })
    .await?;
    stage.assert_messages("all-3", &told, 3).await?;
    assert_eq!(tail.output()?.matches(FOLLOWED).count(), 3, "{}", tail.output()?);

    // The same after an end without a warning.
    up.kill9()?;
    let (mut up, told, _) = start_and_ready(&stage, "fourth").await?;
    let seen = stage.huddle("all-4", &told, "bob", &["tail", "--after", "0", "--count", "4"]).await?;
    assert_eq!(seen.matches(FOLLOWED).count(), 3, "{seen}");
    stop(&mut up).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_within_a_second_and_its_secrets_are_its_owners_alone() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let mut times = Vec::new();
    for name in ["first", "second", "third"] {
        let (mut up, told, took) = start_and_ready(&stage, name).await?;
        assert_eq!(told["data_dir"].as_str().map(Path::new), Some(stage.data.canonicalize()?.as_path()));
        for admin in told["admin_urls"].as_object().context("no admin endpoints")?.values() {
            let ready = http::get(&format!("{}/readyz", admin.as_str().context("no URL")?), None).await?;
            assert_eq!(ready.status, 200, "{}", ready.body);
        }
        stop(&mut up).await?;
        times.push(took);
    }
    // The machine may be busy, but not always.
    assert!(times.iter().any(|time| *time < START_MAX), "{times:?}");
    let modes = ["secrets.json", "state.json", "huddle.db"].map(|name| {
        let path = stage.data.join(name);
        fs::metadata(&path).map(|metadata| metadata.permissions().mode() & 0o777)
    });
    for mode in modes {
        assert_eq!(mode?, 0o600);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_registry_holds_the_metrics_of_all_four_services() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let (mut up, told, _) = start_and_ready(&stage, "up").await?;
    stage.huddle("send", &told, "alice", &["send", "hello, bob"]).await?;
    stage.assert_messages("all", &told, 1).await?;
    let admin = told["admin_urls"]["gateway"].as_str().context("no admin endpoint")?;
    let metrics = http::get(&format!("{admin}/metrics"), None).await?.body;
    let mut names: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for name in ["huddle_gateway_sends_accepted", "huddle_persistence_events_stored", "huddle_history_streams"] {
        assert!(names.iter().any(|known| known.starts_with(name)), "{name} is not in: {names:?}");
    }
    assert!(names.iter().any(|known| known.starts_with("huddle_directory_calls")), "{names:?}");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two metrics of one name: {metrics}");
    stop(&mut up).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_run_in_memory() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let here = files.path().join("here");
    fs::create_dir(&here)?;
    let mut messages = Vec::new();
    for name in ["first", "second"] {
        let mut line = command(&["--memory", "--json"])?;
        line.current_dir(&here).env("TMPDIR", files.path());
        let mut up = Process::spawn_with_last_signal(name, line, &stage.log(name), Signal::Interrupt)?;
        let told = told(&mut up, READY_TIMEOUT).await?;
        assert_eq!((&told["mode"], &told["data_dir"]), (&"memory".into(), &Value::Null));
        stage.assert_messages(&format!("{name}-all"), &told, 0).await?;
        messages.push(told);
        let data = data_of(&up)?;
        assert!(data.join("huddle.db").exists());
        stop(&mut up).await?;
        assert!(!data.exists(), "{} is left", data.display());
    }
    assert_ne!(messages[0]["tokens"], messages[1]["tokens"]);
    assert_eq!(fs::read_dir(&here)?.count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_serves_who_is_still_there_and_a_second_signal_ends_it_at_once() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let mut up = start(&stage, "up", &["--json", "--set", "gateway.drain=10m"])?;
    let told = told(&mut up, READY_TIMEOUT).await?;
    let (url, token) = (told["url"].as_str().context("no URL")?, told["tokens"]["alice"].as_str().context("no token")?);
    // Each of them is sent away at some moment of the ten minutes.
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = RawWs::open(url).await?;
        client.hello(token).await?;
        clients.push(client);
    }
    up.signal(Signal::Interrupt)?;
    let admin = told["admin_urls"]["gateway"].as_str().context("no admin endpoint")?;
    until("it drains", COMMAND_TIMEOUT, async || {
        Ok((http::get(&format!("{admin}/readyz"), None).await?.status == 503).then_some(()))
    })
    .await?;
    // Whoever is still there can do all that needs the other services.
    let mut served = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        if let Ok(true) = is_served(client, number).await {
            served += 1;
        }
    }
    assert!(served > 0, "nobody is served while draining");
    let again = async {
        // Signals that come within a second count as one.
        while up.exit_status()?.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = up.signal(Signal::Interrupt);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(COMMAND_TIMEOUT, again).await.context("it goes on draining")??;
    let status = up.wait(COMMAND_TIMEOUT).await?;
    assert_eq!(status.code(), Some(1), "{}", up.output()?);
    assert!(up.output()?.contains("second signal"), "{}", up.output()?);
    let (mut up, _, _) = start_and_ready(&stage, "again").await?;
    stop(&mut up).await
}

/// Whether `client` can catch up, send, and hear that what it sent is stored.
async fn is_served(client: &mut RawWs, number: usize) -> Result<bool> {
    let reply = client.request(json!({"subscribe": {"team": "demo", "after": "0"}})).await?;
    let subscribed = reply.get("subscribed").is_some();
    let send = json!({"send": {"team": "demo", "client_id": format!("late-{number}"), "body": "late"}});
    let reply = client.request(send).await?;
    let Some(seq) = reply["accepted"]["seq"].as_str().map(str::to_owned) else { return Ok(false) };
    let (mut caught_up, mut stored) = (false, false);
    while !(caught_up && stored) {
        let frame = client.receive_frame().await?;
        caught_up |= frame.get("caught_up").is_some();
        let through = frame["stored"]["seq"].as_str().and_then(|through| through.parse::<u64>().ok());
        stored |= through.is_some_and(|through| seq.parse().is_ok_and(|seq: u64| through >= seq));
    }
    Ok(subscribed)
}

/// The directory of the file that `up` has open.
fn data_of(up: &Process) -> Result<PathBuf> {
    let files = fs::read_dir(Path::new("/proc").join(up.pid().to_string()).join("fd"))?;
    let open = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let mut data = open.filter(|path| path.ends_with("huddle.db"));
    data.next().and_then(|path| path.parent().map(Path::to_owned)).context("no file is open")
}
