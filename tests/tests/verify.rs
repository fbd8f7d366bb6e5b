//! `huddle verify` tells a run and a history that are as they should be from others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use huddle_client::{Client, Encoding};
use huddle_devstack::Tools;
use huddle_domain::{ClientId, TeamId};
use huddle_proto::directory::v1::RemoveMemberRequest;
use huddle_tests::{
    Access, Backend, Cluster, ClusterOptions, Deployment, DeploymentOptions, SERVICE_TOKEN, http, huddle,
};
use huddle_verify::recording::{EventNote, HISTORY_CLIENT, Note, Sees, Writer, digest, kind};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

const VERIFY_MAX: Duration = Duration::from_mins(1);
const TEAM: &str = "crew";
const MEMBERS: [&str; 3] = ["ann", "bob", "cid"];
/// More than a page of history, so that several are read.
const MESSAGES: usize = 1_100;
/// Sends without a receipt.
const AT_ONCE: usize = 50;
/// The team's creation, two more members, and one who is removed.
const OTHER_EVENTS: usize = 4;

huddle_tests::on_both_backends! {
    a_live_team_is_found_whole_by_whoever_may_read_it,
}

async fn a_live_team_is_found_whole_by_whoever_may_read_it(backend: Backend) -> Result<()> {
    let mut deployment = Box::pin(Deployment::start(backend, DeploymentOptions::default())).await?;
    talk(&deployment, MESSAGES).await?;
    deployment.wait_until_stored().await?;
    let config = match &deployment {
        Deployment::Cluster(cluster) => Some(cluster.config().to_owned()),
        Deployment::Embedded(_) => None,
    };

    let report = Report::of(&as_service(&deployment, config.as_deref())).await?;
    assert_eq!(report.code, Some(0), "{report:?}");
    let json = &report.json;
    assert_eq!((&json["clean"], &json["team"]), (&json!(true), &json!(TEAM)));
    let counts = &json["counts"];
    assert_eq!(counts["events"], json!(MESSAGES + OTHER_EVENTS), "{counts}");
    assert_eq!((&counts["messages"], &counts["members"]), (&json!(MESSAGES), &json!(2)), "{counts}");
    let not_checked = json["not_checked"].as_array().context("no list")?;
    match backend {
        // All of the log is there still; before its first event it may say nothing.
        Backend::Cluster => {
            let logged = counts["logged"].as_u64().context("no count")?;
            assert!(logged + 1 >= (MESSAGES + OTHER_EVENTS) as u64, "{json}");
            assert!(not_checked.is_empty() && json["log_compared_after"].is_string(), "{json}");
        }
        Backend::Embedded => {
            assert_eq!((not_checked.len(), &counts["logged"]), (1, &json!(0)), "{json}");
        }
    }

    let (code, said, complaint) = verify(&as_member(&deployment, "ann")?).await?;
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains("1,104 events") && said.contains("whole and in order"), "{said}");
    let (code, said, complaint) = verify(&as_member(&deployment, "eve")?).await?;
    assert_eq!((code, said.as_str()), (Some(2), ""), "{complaint}");
    assert!(complaint.contains("cannot read history") && complaint.contains("no such team"), "{complaint}");
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_from_the_store_or_changed_in_it_is_found() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::default()).await?;
    talk(&cluster, 5).await?;
    cluster.wait_until_stored().await?;
    let stored = cluster.stored_events(TEAM).await?;
    let messages: Vec<u64> = stored.iter().filter(|event| event.kind == "posted").map(|event| event.seq).collect();
    let arguments = as_service(&cluster, Some(cluster.config()));
    assert_eq!(Report::of(&arguments).await?.code, Some(0));

    change_store(&cluster, &format!("UPDATE events SET body = 'forged' WHERE seq = {}", messages[1])).await?;
    let report = Report::of(&arguments).await?;
    assert_eq!((report.code, report.rules()), (Some(1), vec!["disagreement"]), "{report:?}");
    assert_eq!(report.json["findings"][0]["seq"], json!(messages[1]));

    change_store(&cluster, &format!("DELETE FROM events WHERE seq = {}", messages[2])).await?;
    let report = Report::of(&arguments).await?;
    assert_eq!((report.code, report.rules()), (Some(1), vec!["lost", "disagreement"]), "{report:?}");
    assert_eq!(report.json["findings"][0]["seq"], json!(messages[2]));
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_judged_and_the_exit_code_says_how() -> Result<()> {
    let files = tempfile::tempdir()?;
    let (good, bad, torn) = (files.path().join("good"), files.path().join("bad"), files.path().join("torn"));
    record(&good)?;
    let text = fs::read_to_string(&good)?;
    let without_event: Vec<&str> = text.lines().filter(|line| !line.contains(r#""note":"event""#)).collect();
    fs::write(&bad, without_event.join("\n") + "\n")?;
    fs::write(&torn, &text[..text.len() - 10])?;
    let path = |path: &PathBuf| vec![path.display().to_string()];

    let (code, said, _) = verify(&path(&good)).await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("seed 42") && said.contains("no guarantee was broken"), "{said}");

    let (code, said, complaint) = verify(&path(&bad)).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 gap (G2") && said.contains("lines"), "{said}");
    assert!(complaint.contains("found 1 thing"), "{complaint}");
    let report = Report::of(&path(&bad)).await?;
    assert_eq!((report.rules(), &report.json["seed"]), (vec!["gap"], &json!("42")));
    assert_eq!(report.json["counts"]["accepted"], json!(1));

    for (file, why) in [(&torn, "breaks off"), (&files.path().join("none"), "cannot open")] {
        let (code, said, complaint) = verify(&path(file)).await?;
        assert_eq!((code, said.as_str()), (Some(2), ""), "{complaint}");
        assert!(complaint.contains(why), "{complaint}");
    }
    let (code, said, _) = verify_input(&["-".to_owned()], &text).await?;
    assert_eq!(code, Some(0), "{said}");

    // A recording that breaks off earlier settles nothing.
    let unsettled: Vec<&str> = text.lines().filter(|line| !line.contains(r#""note":"settled""#)).collect();
    fs::write(&bad, unsettled.join("\n") + "\n")?;
    assert_eq!(Report::of(&path(&bad)).await?.rules(), ["unsettled"]);
    let (code, said, _) = verify(&[path(&bad), vec!["--no-settle".to_owned()]].concat()).await?;
    assert_eq!(code, Some(0), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_recording_nor_a_team_or_both_is_wrong_usage() -> Result<()> {
    for arguments in [&[][..], &["file", "--team", TEAM], &["file", "--url", "http://127.0.0.1:1"]] {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (code, said, complaint) = verify(&arguments).await?;
        assert_eq!(code, Some(2), "{arguments:?}: {said}{complaint}");
        assert!(complaint.contains("Usage"), "{complaint}");
    }
    let nobody = ["--team", TEAM, "--url", "http://127.0.0.1:1", "--set", "auth.service_token=x"];
    let nobody: Vec<String> = nobody.iter().map(|argument| (*argument).to_owned()).collect();
    let (code, said, complaint) = verify(&nobody).await?;
    assert_eq!((code, said.as_str()), (Some(2), ""), "{complaint}");
    assert!(complaint.contains("http://127.0.0.1:1"), "{complaint}");
    Ok(())
}

/// What was found, as JSON.
#[derive(Debug)]
struct Report {
    code: Option<i32>,
    json: Value,
}

impl Report {
    async fn of(arguments: &[String]) -> Result<Self> {
        let (code, out, err) = verify(&[arguments, &["--json".to_owned()]].concat()).await?;
        let json = serde_json::from_str(&out).with_context(|| format!("no JSON (exit code {code:?}): {out}{err}"))?;
        Ok(Self { code, json })
    }

    fn rules(&self) -> Vec<&str> {
        let rules = self.json["by_rule"].as_array().into_iter().flatten();
        rules.filter_map(|count| count["rule"].as_str()).collect()
    }
}

/// Runs `huddle verify` to its end; returns exit code, standard output and standard error.
async fn verify(arguments: &[String]) -> Result<(Option<i32>, String, String)> {
    verify_input(arguments, "").await
}

async fn verify_input(arguments: &[String], input: &str) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::from(huddle()?);
    command.arg("verify").args(arguments).current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn()?;
    let mut stdin = process.stdin.take().context("no standard input")?;
    // Whoever does not read it has another reason to end.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let Output { status, stdout, stderr } =
        timeout(VERIFY_MAX, process.wait_with_output()).await.context("huddle verify does not end")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((status.code(), text(&stdout), text(&stderr)))
}

fn as_service(access: &Access, config: Option<&Path>) -> Vec<String> {
    let mut arguments = live(access);
    match config {
        Some(config) => arguments.extend(["--config".to_owned(), config.display().to_string()]),
        None => arguments.extend(["--set".to_owned(), format!("auth.service_token={SERVICE_TOKEN}")]),
    }
    arguments
}

fn as_member(access: &Access, user: &str) -> Result<Vec<String>> {
    let file = access.files().join(format!("{user}.token"));
    fs::write(&file, access.token(user)?)?;
    Ok([live(access), vec!["--token-file".to_owned(), file.display().to_string()]].concat())
}

fn live(access: &Access) -> Vec<String> {
    let (history, directory) = (access.history_url(), access.directory_url());
    let arguments = ["--team", TEAM, "--url", history, "--directory-url", directory];
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// `messages` messages of the first member, and one member less in the end.
async fn talk(access: &Access, messages: usize) -> Result<()> {
    access.create_team(TEAM, &MEMBERS).await?;
    let options = access.client_options(0, MEMBERS[0], Encoding::Proto)?;
    let (client, mut frames) = Box::pin(Client::connect(&options)).await?;
    // Second receipts, which nobody here wants; unread they would hold up the rest.
    let unread = tokio::spawn(async move { while frames.next().await.is_some() {} });
    let team = TeamId::parse(TEAM)?;
    let numbers: Vec<usize> = (0..messages).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let mut pending = Vec::new();
        for number in numbers {
            let client_id = ClientId::parse(&format!("m{number}"))?;
            pending.push(client.start_send(&team, &client_id, format!("message {number}")).await?);
        }
        for send in pending {
            send.accepted().await?;
        }
    }
    client.close().await;
    unread.await?;
    let mut directory = access.directory_client(SERVICE_TOKEN)?;
    let (team, user, client_id) = (TEAM.to_owned(), MEMBERS[2].to_owned(), String::new());
    directory.remove_member(RemoveMemberRequest { team, user, client_id }).await?;
    let url = format!("{}/v1/teams/{TEAM}/messages", access.http_url(0));
    let answer = http::post(&url, Some(&access.token(MEMBERS[2])?), r#"{"body":"I am gone"}"#).await?;
    ensure!(answer.status == 404, "a removed member got {}", answer.status);
    Ok(())
}

async fn change_store(cluster: &Cluster, statement: &str) -> Result<()> {
    let mut psql = Command::new(Tools::locate()?.postgres_bin()?.join("psql"));
    psql.arg(cluster.postgres.url_of("huddle")).args(["--set", "ON_ERROR_STOP=1", "-qc", statement]);
    let output = psql.kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// ann sends a message that bob is shown.
fn record(path: &Path) -> Result<()> {
    let writer = Writer::create(path, 42)?;
    let team = || TEAM.to_owned();
    let event = |seq, prev_seq, sender: &str, client_id: &str, kind: &str, about: &str| EventNote {
        team: team(),
        seq,
        prev_seq: Some(prev_seq),
        sender: sender.to_owned(),
        client_id: Some(client_id.to_owned()),
        digest: (kind == kind::POSTED).then(|| digest(about)),
        kind: kind.to_owned(),
        subject: (kind != kind::POSTED).then(|| about.to_owned()),
    };
    let events = vec![
        event(1, 0, "service", "c1", kind::TEAM_CREATED, "ann"),
        event(2, 1, "service", "c2", kind::MEMBER_ADDED, "bob"),
        event(5, 2, "ann", "a1", kind::POSTED, "hello"),
    ];
    for (client, user) in [("ann-1", "ann"), ("bob-1", "bob")] {
        let (user, gateway) = (user.to_owned(), "gateway-0".to_owned());
        writer.note(client, 0, Note::Connected { user, gateway, sees: Sees::Events });
    }
    writer.note("bob-1", 0, Note::Subscribe { team: team(), after: Some(2) });
    writer.note("bob-1", 0, Note::Subscribed { team: team(), last_seq: 2 });
    let client_id = || "a1".to_owned();
    writer.note("ann-1", 0, Note::Send { team: team(), client_id: client_id(), digest: digest("hello") });
    writer.note("ann-1", 0, Note::Accepted { team: team(), client_id: client_id(), seq: 5, duplicate: false });
    writer.note("bob-1", 0, Note::Event(events[2].clone()));
    writer.note("bob-1", 0, Note::CaughtUp { team: team(), seq: 5 });
    writer.note("bob-1", 0, Note::Settled { team: team(), cursor: 5 });
    writer.note(HISTORY_CLIENT, 0, Note::History { team: team(), events });
    writer.finish()?;
    Ok(())
}
