//! Every member gets every event exactly once, in one order: the same on every gateway, for every client, in the store
//! and over gRPC.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::Tools;
use huddle_tests::{
    Access, Backend, ClientKind, Clients, ConnectionPlan, Deployment, DeploymentOptions, SERVICE_TOKEN, SendPlan,
    StoredEvent, SubscriptionPlan, assert_chained, assert_receipts, assert_whole,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, time::timeout};

const TEAMS: usize = 20;
const MEMBERS: usize = 10;
const SENDS_PER_MEMBER: usize = 50;
const START_TIMEOUT: Duration = Duration::from_mins(1);
const TRAFFIC_TIMEOUT: Duration = Duration::from_secs(150);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Small, so that reading a team takes many pages.
const PAGE: usize = 64;

huddle_tests::on_both_backends! {
    every_member_receives_every_event_exactly_once_in_one_order_whatever_the_gateway_and_the_client,
}

/// A team's `member`-th user, its kind of client and its gateway: each kind is on each gateway in each team.
fn place(team: usize, member: usize) -> (String, ClientKind, usize) {
    let kind = ClientKind::NATIVE[member % ClientKind::NATIVE.len()];
    (format!("user-{team}-{member}"), kind, (member / ClientKind::NATIVE.len() + team) % 2)
}

async fn every_member_receives_every_event_exactly_once_in_one_order_whatever_the_gateway_and_the_client(
    backend: Backend,
) -> Result<()> {
    let options = DeploymentOptions { partitions: 3, ..DeploymentOptions::default() };
    let deployment = Box::pin(Deployment::start(backend, options)).await?;
    let teams: BTreeMap<String, Vec<String>> = (0..TEAMS)
        .map(|team| (format!("team-{team}"), (0..MEMBERS).map(|member| place(team, member).0).collect()))
        .collect();
    deployment.create_teams(&teams).await?;

    let mut plans: BTreeMap<ClientKind, Vec<(String, ConnectionPlan)>> = BTreeMap::new();
    for team in 0..TEAMS {
        for member in 0..MEMBERS {
            let (user, kind, gateway) = place(team, member);
            let plan = plan(&deployment, &format!("team-{team}"), &user, gateway)?;
            plans.entry(kind).or_default().push((user, plan));
        }
    }
    let mut groups = Vec::new();
    for (kind, plans) in &plans {
        let plans = plans.iter().map(|(_, plan)| plan.clone()).collect();
        groups.push(Clients::start(*kind, plans, deployment.files()).await?);
    }
    for clients in &mut groups {
        clients.caught_up(START_TIMEOUT).await?;
    }
    for clients in &mut groups {
        clients.go().await?;
    }
    for clients in &mut groups {
        clients.done(TRAFFIC_TIMEOUT).await?;
    }

    let mut stored = BTreeMap::new();
    for team in teams.keys() {
        stored.insert(team.clone(), deployment.stored_events(team).await?);
    }
    // The records come in the order of the plans.
    for (clients, plans) in groups.into_iter().zip(plans.values()) {
        let records = clients.stop(STOP_TIMEOUT).await?;
        for (record, (user, plan)) in records.iter().zip(plans) {
            let team = &plan.subscriptions[0].team;
            assert_eq!(record.connections(), 1, "{} was sent away", record.connection);
            assert_eq!(record.caught_up(team).len(), 1, "{}", record.connection);
            assert_whole(record, team, 0, &stored[team]);
            assert_chained(record, team, &stored[team]);
            assert_receipts(record, plan, user, &stored);
        }
    }
    for (team, events) in &stored {
        let messages = events.iter().filter(|event| event.kind == "posted").count();
        assert_eq!(messages, MEMBERS * SENDS_PER_MEMBER, "{team}");
        // The team's creation, and its members but the owner.
        assert_eq!(events.len(), messages + MEMBERS, "{team}");
    }
    assert_history_returns(&deployment, &teams, &stored).await?;
    deployment.finish().await
}

fn plan(access: &Access, team: &str, user: &str, gateway: usize) -> Result<ConnectionPlan> {
    let send = |number| SendPlan {
        team: team.to_owned(),
        client_id: format!("send-{number}"),
        // Texts that an encoding could spoil.
        body: format!("{number} of {user}: \"ä\u{2028}漢\\ 🎉\"\n"),
    };
    Ok(ConnectionPlan {
        name: format!("{user}@gateway-{gateway}"),
        urls: vec![access.ws_url(gateway)],
        token: access.token(user)?,
        subscriptions: vec![SubscriptionPlan {
            team: team.to_owned(),
            after: Some(0),
            messages: MEMBERS * SENDS_PER_MEMBER,
        }],
        sends: (0..SENDS_PER_MEMBER).map(send).collect(),
        in_flight_max: 16,
    })
}

/// What `tests/clients/history_grpc.py` found out about a team.
#[derive(Deserialize)]
struct History {
    team: String,
    oldest_first: Vec<Value>,
    newest_first: Vec<Value>,
    events: Vec<Value>,
    streamed: Vec<Value>,
    caught_up: String,
}

/// Reads all teams with Python's `grpcio` by reflection, some with the service token and some with a member's own.
async fn assert_history_returns(
    access: &Access,
    teams: &BTreeMap<String, Vec<String>>,
    stored: &BTreeMap<String, Vec<StoredEvent>>,
) -> Result<()> {
    let mut reads = Vec::new();
    for (index, (team, members)) in teams.iter().enumerate() {
        let token = if index % 2 == 0 { SERVICE_TOKEN.to_owned() } else { access.token(&members[1])? };
        reads.push(json!({"team": team, "token": token}));
    }
    let target = access.history_url().replace("http://", "");
    let plan = json!({"target": target, "page": PAGE, "teams": reads}).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/history_grpc.py");
    let mut python = tokio::process::Command::new(Tools::locate()?.python()?);
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut python = python.spawn()?;
    let mut input = python.stdin.take().context("no standard input")?;
    input.write_all(plan.as_bytes()).await?;
    drop(input);
    let output =
        timeout(TRAFFIC_TIMEOUT, python.wait_with_output()).await.context("reading history took too long")??;
    ensure!(output.status.success(), "history_grpc.py: {}", String::from_utf8_lossy(&output.stderr));
    let histories: Vec<History> =
        String::from_utf8(output.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;

    assert_eq!(histories.len(), teams.len());
    for History { team, oldest_first, newest_first, events, streamed, caught_up } in histories {
        let stored = &stored[&team];
        let messages: Vec<_> = stored.iter().filter(|event| event.kind == "posted").collect();
        assert_eq!(oldest_first.len(), messages.len(), "{team}");
        for (read, stored) in oldest_first.iter().zip(&messages) {
            assert_same(&team, read, &read["body"], stored);
        }
        assert_eq!(newest_first.len(), messages.len(), "{team}");
        for (read, stored) in newest_first.iter().rev().zip(&messages) {
            assert_same(&team, read, &read["body"], stored);
        }
        for read_events in [&events, &streamed] {
            assert_eq!(read_events.len(), stored.len(), "{team}");
            let mut before = 0;
            for (read, stored) in read_events.iter().zip(stored) {
                assert_same(&team, read, &read["posted"]["body"], stored);
                let prev_seq = read["prev_seq"].as_str().unwrap_or("0");
                assert_eq!(prev_seq, before.to_string(), "{team}: before {}", stored.seq);
                before = stored.seq;
            }
        }
        assert!(caught_up.parse::<u64>()? >= stored[stored.len() - 1].seq, "{team}");
    }
    Ok(())
}

fn assert_same(team: &str, read: &Value, body: &Value, stored: &StoredEvent) {
    let StoredEvent { seq, sender, client_id, body: text, .. } = stored;
    let found = [&read["team"], &read["seq"], &read["sender"], &read["client_id"], body];
    let expected = [json!(team), json!(seq.to_string()), json!(sender), json!(client_id), json!(text)];
    assert_eq!(found, expected.each_ref());
}
