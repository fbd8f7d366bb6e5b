//! Clients that know nothing of what is behind the gateway: WebSockets in two languages, gRPC and REST.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::Tools;
use huddle_tests::{
    ClientKind, Clients, ConnectionPlan, SendPlan, Stage, StoredEvent, SubscriptionPlan, assert_chained,
    assert_receipts, assert_whole, http,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::program::{start_and_ready, stop};

const TRAFFIC_TIMEOUT: Duration = Duration::from_mins(1);
const TEAM: &str = "demo";
const USERS: [(&str, ClientKind); 2] = [("alice", ClientKind::Node), ("bob", ClientKind::Python)];
const SENDS: usize = 150;
/// Smaller than what is sent, so that there is more than one page.
const PAGE: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn two_websocket_clients_chat_and_history_pages_over_grpc_and_rest() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let (mut up, told, _) = start_and_ready(&stage, "up").await?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("incomplete");
    let plan = |user: &str| {
        anyhow::Ok(ConnectionPlan {
            name: user.to_owned(),
            urls: vec![text(&told["url"])?],
            token: text(&told["tokens"][user])?,
            subscriptions: vec![SubscriptionPlan {
                team: TEAM.to_owned(),
                after: Some(0),
                messages: USERS.len() * SENDS,
            }],
            sends: (0..SENDS).map(send).collect(),
            in_flight_max: 16,
        })
    };
    let plans = [plan(USERS[0].0)?, plan(USERS[1].0)?];
    let mut groups = Vec::new();
    for ((_, kind), plan) in USERS.into_iter().zip(&plans) {
        groups.push(Clients::start(kind, vec![plan.clone()], files.path()).await?);
    }
    for clients in &mut groups {
        clients.caught_up(TRAFFIC_TIMEOUT).await?;
    }
    for clients in &mut groups {
        clients.go().await?;
    }
    for clients in &mut groups {
        clients.done(TRAFFIC_TIMEOUT).await?;
    }

    let history = read_with_grpcio(&text(&told["history_url"])?, &plans[0].token).await?;
    let stored = stored(&history)?;
    let all = BTreeMap::from([(TEAM.to_owned(), stored.clone())]);
    for ((user, _), (clients, plan)) in USERS.into_iter().zip(groups.into_iter().zip(&plans)) {
        let records = clients.stop(TRAFFIC_TIMEOUT).await?;
        let record = &records[0];
        assert_eq!(record.connections(), 1, "{user} was sent away");
        assert_whole(record, TEAM, 0, &stored);
        assert_chained(record, TEAM, &stored);
        assert_receipts(record, plan, user, &all);
    }

    let messages: Vec<_> = stored.iter().filter(|event| event.kind == "posted").collect();
    assert_eq!(messages.len(), USERS.len() * SENDS);
    let seqs: Vec<String> = messages.iter().map(|message| message.seq.to_string()).collect();
    assert_eq!(seqs_of(&history["oldest_first"])?, seqs);
    assert_eq!(seqs_of(&history["newest_first"])?.into_iter().rev().collect::<Vec<_>>(), seqs);
    assert_eq!(history["streamed"], history["events"]);

    let mut read = Vec::new();
    let mut query = format!("?limit={PAGE}");
    while read.len() < messages.len() {
        let url = format!("{}/v1/teams/{TEAM}/messages{query}", text(&told["http_url"])?);
        let page = http::get(&url, Some(&plans[1].token)).await?.json()?;
        let page = seqs_of(&page["messages"])?;
        ensure!(!page.is_empty(), "the pages end after {} of {}", read.len(), messages.len());
        query = format!("?limit={PAGE}&before={}", page[page.len() - 1]);
        read.extend(page);
    }
    read.reverse();
    assert_eq!(read, seqs);
    stop(&mut up).await
}

fn send(number: usize) -> SendPlan {
    SendPlan {
        team: TEAM.to_owned(),
        client_id: format!("send-{number}"),
        body: format!("{number}: \"ä\u{2028}漢\\ 🎉\"\n"),
    }
}

/// What `tests/clients/history_grpc.py` reads of the team.
async fn read_with_grpcio(url: &str, token: &str) -> Result<Value> {
    let target = url.replace("http://", "");
    let plan = json!({"target": target, "page": PAGE, "teams": [{"team": TEAM, "token": token}]}).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/history_grpc.py");
    let mut python = tokio::process::Command::new(Tools::locate()?.python()?);
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut python = python.spawn()?;
    let mut input = python.stdin.take().context("no standard input")?;
    input.write_all(plan.as_bytes()).await?;
    drop(input);
    let output = timeout(TRAFFIC_TIMEOUT, python.wait_with_output()).await.context("reading took too long")??;
    ensure!(output.status.success(), "history_grpc.py: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The events that history returned, as they must have been received.
fn stored(history: &Value) -> Result<Vec<StoredEvent>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = |event: &Value| {
        let body = event["posted"]["body"].as_str().map(str::to_owned);
        anyhow::Ok(StoredEvent {
            seq: text(&event["seq"]).parse()?,
            sender: text(&event["sender"]),
            client_id: text(&event["client_id"]),
            kind: if body.is_some() { "posted" } else { "other" }.to_owned(),
            body,
        })
    };
    history["events"].as_array().context("no events")?.iter().map(event).collect()
}

fn seqs_of(messages: &Value) -> Result<Vec<String>> {
    let messages = messages.as_array().context("no messages")?;
    messages.iter().map(|message| Ok(message["seq"].as_str().context("no seq")?.to_owned())).collect()
}
