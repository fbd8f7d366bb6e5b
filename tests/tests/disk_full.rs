//! The disk under `huddle up` is full: sends are refused with a code that says retry, everything else goes on, nothing that
//! was accepted is lost, and once there is room sends go on by themselves.
//!
//! The disk is a small file system in memory, in a mount namespace of its own. `unshare -Urm` makes that for root and,
//! where the system lets users have namespaces, for anybody. Where it does not, these tests fail and say so.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream::FuturesOrdered};
use huddle_client::{Client, Encoding, OutgoingMessage, Receipt, RequestError, Sender, SenderOptions};
use huddle_devstack::Process;
use huddle_domain::{ClientId, TeamId};
use huddle_proto::gateway::v1::ErrorCode;
use huddle_tests::{
    Access, ClientKind, Clients, ConnectionPlan, Single, SingleOptions, SubscriptionPlan, assert_chained, assert_whole,
    http, until,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

const TEAM: &str = "team";
/// The longest body that there is, in characters and bytes.
const BODY_BYTES: usize = 4_000;
/// Some more than there is room for.
const EXCESS: f64 = 1.2;
const MEBIBYTE: u64 = 1024 * 1024;
/// Room for everything.
const DISK_MEBIBYTES: u64 = 128;
/// What others leave of it: too little for the write-ahead log to be moved into the file even once, and enough for that to
/// happen a few times.
const LEFT_MEBIBYTES: [u64; 2] = [6, 20];
/// Refusals of each way to send before there is room.
const REFUSALS: usize = 20;
/// From the moment at which there is room.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(1);
const EXIT_FAILURE: i32 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_sends_loses_nothing_and_sends_go_on_by_themselves_when_there_is_room() -> Result<()> {
    for mebibytes in LEFT_MEBIBYTES {
        let disk = Disk::mount().await?;
        disk.leave(mebibytes).await?;
        let mut single = Box::pin(Single::start(disk.options())).await?;
        Box::pin(fill_and_make_room(&disk, &mut single, mebibytes))
            .await
            .with_context(|| format!("{mebibytes} MiB"))?;
        Box::pin(single.finish()).await?;
    }
    Ok(())
}

async fn fill_and_make_room(disk: &Disk, single: &mut Single, mebibytes: u64) -> Result<()> {
    single.create_team(TEAM, &["sender", "prober", "reader", "late"]).await?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "thousands"
    )]
    let messages = (EXCESS * (mebibytes * MEBIBYTE) as f64 / BODY_BYTES as f64) as usize;
    let in_all = messages + 2 * REFUSALS;
    let mut reader = read(single, "reader", in_all).await?;
    let (sender, sending) = send(single, messages)?;
    let mut problem = sender.problem();
    timeout(PATIENCE, problem.wait_for(Option::is_some)).await.context("nothing is refused")??;

    let refused = Box::pin(probe(single)).await?;
    assert!(!sending.is_finished(), "all is sent, and the disk is full?");
    assert_reads_go_on(single).await?;
    assert_a_retry_is_answered(single).await?;
    let health = http::get(&format!("{}/healthz", single.service.admin_url()), None).await?;
    assert_eq!(health.status, 200, "{}", health.body);
    let readiness = http::get(&format!("{}/readyz", single.service.admin_url()), None).await?;
    println!("while {mebibytes} MiB are full, readiness is {}: {}", readiness.status, readiness.body);

    disk.make_room().await?;
    let begin = Instant::now();
    let again = until("what was refused is taken", RECOVERY_MAX, async || {
        let answer = post(single, "prober", refused.posts[0].as_str()).await?;
        Ok((answer.status == 201).then_some(()))
    });
    again.await?;
    println!("taken again {:?} after there was room", begin.elapsed());
    let seqs = timeout(PATIENCE, sending).await.context("the sender does not go on")???;
    let (client, _frames) = Box::pin(Client::connect(&single.client_options(0, "prober", Encoding::Json)?)).await?;
    for id in &refused.sends {
        client.send(&TeamId::parse(TEAM)?, id, large(id.as_str())).await?;
    }
    for id in &refused.posts {
        assert_eq!(post(single, "prober", id.as_str()).await?.status, 201);
    }

    reader.done(PATIENCE).await?;
    single.wait_until_stored().await?;
    let stored = single.stored_events(TEAM).await?;
    let posted: BTreeMap<(&str, &str), u64> = stored
        .iter()
        .filter(|event| event.kind == "posted")
        .map(|event| ((event.sender.as_str(), event.client_id.as_str()), event.seq))
        .collect();
    assert_eq!(posted.len(), in_all, "messages, each once");
    for (number, seq) in seqs.iter().enumerate() {
        assert_eq!(posted.get(&("sender", numbered(number).as_str())), Some(seq), "message {number}");
    }
    for record in reader.stop(PATIENCE).await? {
        assert_eq!(record.connections(), 1, "the reader was sent away");
        assert_whole(&record, TEAM, 0, &stored);
        assert_chained(&record, TEAM, &stored);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_says_what_to_do_and_the_data_is_there_when_there_is_room() -> Result<()> {
    let disk = Disk::mount().await?;
    disk.fill().await?;
    let mut single = Single::spawn(&disk.options())?;
    assert_start_fails(&mut single).await.context("a first start")?;
    disk.make_room().await?;
    single.service.restart().await?;
    single.wait_until_told().await?;
    single.create_team(TEAM, &["sender", "prober", "reader", "late"]).await?;
    let (sender, sending) = send(&single, REFUSALS)?;
    let seqs = timeout(PATIENCE, sending).await???;
    drop(sender);
    single.wait_until_stored().await?;

    single.service.terminate().await?;
    disk.fill().await?;
    let before = disk.checksum().await?;
    single.service.spawn_again()?;
    assert_start_fails(&mut single).await.context("after an orderly end")?;
    assert_eq!(disk.checksum().await?, before, "the data is not as it was");
    disk.make_room().await?;
    single.service.restart().await?;
    assert_messages(&single, &seqs).await?;

    // A process that is killed leaves everything in place that the next one needs for reading.
    single.service.kill9()?;
    disk.fill().await?;
    single.service.restart().await?;
    assert_messages(&single, &seqs).await?;
    let answer = post(&single, "prober", "refused").await?;
    assert_eq!(answer.status, 503, "{}", answer.body);
    disk.make_room().await?;
    let answer = post(&single, "prober", "refused").await?;
    assert_eq!(answer.status, 201, "{}", answer.body);
    Box::pin(single.finish()).await
}

async fn assert_messages(single: &Single, seqs: &[u64]) -> Result<()> {
    let stored = single.stored_events(TEAM).await?;
    let posted = stored.iter().filter(|event| event.kind == "posted").map(|event| event.seq);
    assert_eq!(posted.collect::<Vec<_>>(), seqs);
    assert_reads_go_on(single).await
}

async fn assert_start_fails(single: &mut Single) -> Result<()> {
    let status = single.service.process().wait(PATIENCE).await?;
    let said = single.service.process().output()?;
    assert_eq!(status.code(), Some(EXIT_FAILURE), "{said}");
    for word in ["is full", "make room", "nothing that was acknowledged is lost"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    Ok(())
}

/// A reader from the first event on.
async fn read(access: &Access, user: &str, messages: usize) -> Result<Clients> {
    let plan = ConnectionPlan {
        name: user.to_owned(),
        urls: vec![access.ws_url(0)],
        token: access.token(user)?,
        subscriptions: vec![SubscriptionPlan { team: TEAM.to_owned(), after: Some(0), messages }],
        sends: Vec::new(),
        in_flight_max: 1,
    };
    let mut clients = Clients::start(ClientKind::Rust, vec![plan], access.files()).await?;
    clients.caught_up(PATIENCE).await?;
    clients.go().await?;
    Ok(clients)
}

/// Sends large messages one after the other, each until it is accepted; in the end there are their positions.
fn send(access: &Access, messages: usize) -> Result<(Sender, JoinHandle<Result<Vec<u64>>>)> {
    let client = access.client_options(0, "sender", Encoding::Proto)?;
    let sender = Sender::new(SenderOptions { client, in_flight_max: 16 });
    let task = {
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut under_way = FuturesOrdered::new();
            for number in 0..messages {
                let id = numbered(number);
                let message = OutgoingMessage::new(TeamId::parse(TEAM)?, large(&id));
                let message = OutgoingMessage { client_id: ClientId::parse(&id)?, ..message };
                under_way.push_back(sender.start_send(message, Receipt::Accepted).await?.receipt());
            }
            let mut seqs = Vec::with_capacity(messages);
            while let Some(receipt) = under_way.next().await {
                seqs.push(receipt?.seq.get());
            }
            Ok(seqs)
        })
    };
    Ok((sender, task))
}

fn numbered(number: usize) -> String {
    format!("send-{number}")
}

fn large(id: &str) -> String {
    format!("{id:x<BODY_BYTES$}")
}

/// The `client_id`s of messages that were refused.
struct Refused {
    sends: Vec<ClientId>,
    posts: Vec<ClientId>,
}

/// Sends until enough is refused, over a WebSocket and over REST, and holds each refusal to its words.
async fn probe(access: &Access) -> Result<Refused> {
    let team = TeamId::parse(TEAM)?;
    let (client, _frames) = Box::pin(Client::connect(&access.client_options(0, "prober", Encoding::Json)?)).await?;
    let mut refused = Refused { sends: Vec::new(), posts: Vec::new() };
    for number in 0..REFUSALS {
        let id = ClientId::parse(&format!("probe-{number}"))?;
        let outcome = client.send(&team, &id, large(id.as_str())).await;
        let Err(RequestError::Refused(refusal)) = outcome else { panic!("a send to a full disk: {outcome:?}") };
        assert_eq!(refusal.code, ErrorCode::Unavailable, "{refusal}");
        assert!(refusal.code.is_retryable() && refusal.message.contains("full; retry"), "{refusal}");
        refused.sends.push(id);

        let id = ClientId::parse(&format!("post-{number}"))?;
        let answer = post(access, "prober", id.as_str()).await?;
        let error = &answer.json()?["error"];
        assert_eq!((answer.status, &error["code"]), (503, &json!("ERROR_CODE_UNAVAILABLE")), "{}", answer.body);
        assert_eq!(error["retryable"], true, "{}", answer.body);
        refused.posts.push(id);
    }
    Ok(refused)
}

async fn post(access: &Access, user: &str, id: &str) -> Result<http::Answer> {
    let message = json!({"client_id": id, "body": large(id)}).to_string();
    http::post(&messages_url(access), Some(&access.token(user)?), &message).await
}

fn messages_url(access: &Access) -> String {
    format!("{}/v1/teams/{TEAM}/messages", access.http_url(0))
}

async fn assert_a_retry_is_answered(access: &Access) -> Result<()> {
    let answer = post(access, "sender", &numbered(0)).await?;
    assert_eq!((answer.status, &answer.json()?["duplicate"]), (201, &json!(true)), "{}", answer.body);
    Ok(())
}

/// Pages over REST, and a catch-up from the first event to the present.
async fn assert_reads_go_on(access: &Access) -> Result<()> {
    let url = format!("{}?limit=10", messages_url(access));
    let answer = http::get(&url, Some(&access.token("reader")?)).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()?["messages"].as_array().map(Vec::len), Some(10), "{}", answer.body);
    let late = read(access, "late", 0).await?;
    let records = late.stop(PATIENCE).await?;
    assert_whole(&records[0], TEAM, 0, &access.stored_events(TEAM).await?);
    assert!(records[0].events(TEAM).count() > 10, "a few events");
    Ok(())
}

/// A file system of its own for one data directory. It goes with the processes in its namespace.
struct Disk {
    holder: Process,
    directory: PathBuf,
    _files: TempDir,
}

impl Disk {
    async fn mount() -> Result<Self> {
        let files = tempfile::Builder::new().prefix("huddle-disk-").tempdir()?;
        let directory = files.path().join("disk");
        std::fs::create_dir(&directory)?;
        let mut command = Command::new("unshare");
        // The process that holds the namespace; others enter it.
        let script = "mount -t tmpfs -o \"size=$2m\" huddle-test \"$1\" && echo mounted && exec sleep infinity";
        command.args(["-Urm", "sh", "-c", script, "sh"]).arg(&directory).arg(DISK_MEBIBYTES.to_string());
        let mut holder = Process::spawn("disk", command, &files.path().join("holder.log"))?;
        holder.wait_for_output("mounted", PATIENCE).await.context(
            "this test makes a full disk in a user namespace, and `unshare -Urm` with a mount of tmpfs must work here: it \
             needs util-linux, and a kernel, a security module and a container that let this user have namespaces (see \
             user_namespaces(7), and kernel.apparmor_restrict_unprivileged_userns)",
        )?;
        Ok(Self { holder, directory, _files: files })
    }

    fn options(&self) -> SingleOptions {
        SingleOptions { data_dir: Some(self.data()), wrapper: self.wrapper(), ..SingleOptions::default() }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What enters the namespace.
    fn wrapper(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.holder.pid());
        ["nsenter", &target, "--user", "--mount", "--preserve-credentials"].map(OsString::from).to_vec()
    }

    /// Takes all the room but this.
    async fn leave(&self, mebibytes: u64) -> Result<()> {
        let others = format!("{}MiB", DISK_MEBIBYTES - mebibytes);
        self.run("fallocate --length \"$2\" \"$1/others\"", &others).await.map(drop)
    }

    /// Takes all the room that is left.
    async fn fill(&self) -> Result<()> {
        // It ends with failure: the disk is full.
        self.run("cat /dev/zero > \"$1/others\" 2> /dev/null; test -s \"$1/others\"", "").await.map(drop)
    }

    async fn make_room(&self) -> Result<()> {
        self.run("rm \"$1/others\"", "").await.map(drop)
    }

    /// Of the file, beside which nothing holds data after an orderly end.
    async fn checksum(&self) -> Result<String> {
        self.run("cd \"$1/data\" && test ! -s huddle.db-wal && sha256sum huddle.db", "").await
    }

    /// Runs a script in the namespace; `$1` is the disk's directory.
    async fn run(&self, script: &str, argument: &str) -> Result<String> {
        let wrapper = self.wrapper();
        let mut command = tokio::process::Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).args(["sh", "-c", script, "sh"]).arg(&self.directory).arg(argument);
        let output = command.kill_on_drop(true).output().await.context("cannot start nsenter")?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
