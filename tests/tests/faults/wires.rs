//! The network between the processes breaks: what is cut off says so and comes back, and an acknowledgement that is lost is
//! asked for again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use huddle_client::{Accepted, Client, Encoding, OutgoingMessage, Receipt, Sender, SenderOptions};
use huddle_domain::{ClientId, TeamId};
use huddle_tests::{
    Access, Cluster, ClusterOptions, StoredEvent,
    faults::wire::{Direction, NatsMessage},
    http, until,
};
use tokio::time::timeout;

const TEAM: &str = "team";
const MEMBERS: [&str; 2] = ["alice", "bob"];
const PATIENCE: Duration = Duration::from_mins(1);
/// A gateway looks every two seconds, and gives a part that is silent two more.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages that are sent at once, so that they become batches.
const CROWD: usize = 40;
/// sqlx ends a transaction with this query, and Postgres answers with the same word.
const COMMIT: &[u8] = b"COMMIT\0";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_from_a_part_says_so_until_the_wire_heals() -> Result<()> {
    let options = ClusterOptions { nats_nodes: 3, ..wired(2, 1) };
    let mut cluster = Box::pin(Cluster::start(options)).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    let sent = send(&cluster, 0, "through wires").await?;
    cluster.wait_until_stored().await?;
    assert_eq!(rows(&cluster, "through wires").await?, [sent.seq.get()]);
    assert_routes_go_through_wires(&mut cluster).await?;

    for part in ["nats", "history-0", "directory-0"] {
        let link = cluster.wires().between("gateway-0", part);
        link.cut();
        cluster.gateways[0].wait_until_not_ready(NOTICE_TIMEOUT).await.with_context(|| format!("{part} is cut off"))?;
        assert!(cluster.gateways[1].process().is_running());
        send(&cluster, 1, &format!("while {part} is cut off")).await?;
        link.heal();
        cluster.gateways[0].wait_until_ready().await?;
        link.silence();
        cluster.gateways[0].wait_until_not_ready(NOTICE_TIMEOUT).await.with_context(|| format!("{part} is silent"))?;
        link.heal();
        cluster.gateways[0].wait_until_ready().await?;
        send(&cluster, 0, &format!("when {part} is back")).await?;
    }
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_lost_acknowledgement_is_one_receipt_with_the_right_position_and_one_row() -> Result<()> {
    let options = ClusterOptions { nats_nodes: 3, ..wired(1, 1) };
    let mut cluster = Box::pin(Cluster::start(options)).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    let link = cluster.wires().between("gateway-0", "nats");

    let mut is_lost = false;
    let lost = link.drop_replies(move |message| is_acknowledgement(message) && !std::mem::replace(&mut is_lost, true));
    let sent = send(&cluster, 0, "alone").await?;
    assert_eq!(lost.count(), 1, "no acknowledgement was lost");
    link.heal();
    let again = send(&cluster, 0, "alone").await?;
    let problem = "the row is not where the receipt says";
    assert_eq!((again.seq, again.duplicate), (sent.seq, true), "{problem}");

    // Those of batches, too: the first of each connection, and what follows on it.
    let mut left = 3;
    let lost = link.drop_replies(move |message| {
        let is_chosen = is_acknowledgement(message) && left > 0;
        left -= u32::from(is_chosen);
        is_chosen
    });
    let sends = (0..CROWD).map(|number| format!("crowd-{number}"));
    let crowd = Box::pin(send_at_once(&cluster, sends)).await?;
    assert_eq!(lost.count(), 3);
    link.heal();

    cluster.wait_until_stored().await?;
    assert_eq!(rows(&cluster, "alone").await?, [sent.seq.get()], "{problem}");
    for (client_id, seq) in crowd {
        assert_eq!(rows(&cluster, &client_id).await?, [seq], "{problem}: {client_id}");
    }
    assert_eq!(cluster.stored_messages().await?, 1 + CROWD);
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_steps_down_and_sends_go_on() -> Result<()> {
    let options = ClusterOptions { nats_nodes: 3, ..wired(1, 1) };
    let mut cluster = Box::pin(Cluster::start(options)).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    let leader = until("a node leads the partition", PATIENCE, async || cluster.leader_of(0).await).await?;
    cluster.step_down(0, 0).await?;
    until("another node leads the partition", PATIENCE, async || {
        Ok(cluster.leader_of(0).await?.filter(|it| *it != leader))
    })
    .await?;
    let leader = until("a node leads the meta group", PATIENCE, async || Ok(cluster.nats.leader().await)).await?;
    cluster.step_down_meta(1).await?;
    until("another node leads the meta group", PATIENCE, async || {
        Ok(cluster.nats.leader().await.filter(|it| *it != leader))
    })
    .await?;
    until_accepted(&cluster, 0, "afterwards").await?;
    Box::pin(cluster.finish()).await
}

/// A commit stands still on its way to Postgres, and on its way back; persistence is killed there, and there is one row.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_can_be_held_before_and_after_it_happens() -> Result<()> {
    let mut cluster = Box::pin(Cluster::start(wired(1, 1))).await?;
    cluster.create_team(TEAM, &MEMBERS).await?;
    cluster.wait_until_stored().await?;
    for (direction, is_committed) in [(Direction::Forth, false), (Direction::Back, true)] {
        let client_id = format!("{direction:?}");
        let held = cluster.wires().between("persistence-0", "postgres").hold_at(direction, COMMIT);
        let sent = send(&cluster, 0, &client_id).await?;
        timeout(PATIENCE, held.reached()).await.context("no commit")?;
        assert_eq!(rows(&cluster, &client_id).await?.is_empty(), !is_committed, "{direction:?}");
        cluster.persistence[0].kill9()?;
        until("what was held is gone", PATIENCE, async || Ok((!held.is_held()).then_some(()))).await?;
        cluster.persistence[0].restart().await?;
        cluster.wait_until_stored().await?;
        assert_eq!(rows(&cluster, &client_id).await?, [sent.seq.get()]);
    }
    Box::pin(cluster.finish()).await
}

fn wired(gateways: usize, persistence: usize) -> ClusterOptions {
    ClusterOptions { gateways, persistence, wired: true, ..ClusterOptions::default() }
}

/// What JetStream answers to a publish that it has stored.
fn is_acknowledgement(message: &NatsMessage<'_>) -> bool {
    message.is_answer()
        && message.payload.starts_with(b"{\"stream\":\"HUDDLE_LOG_0\"")
        && message.payload_holds("\"seq\":")
}

async fn send(access: &Access, gateway: usize, client_id: &str) -> Result<Accepted> {
    let (client, _frames) =
        Box::pin(Client::connect(&access.client_options(gateway, "alice", Encoding::Proto)?)).await?;
    let (team, id) = (TeamId::parse(TEAM)?, ClientId::parse(&named(client_id))?);
    Ok(timeout(PATIENCE, client.send(&team, &id, client_id)).await??)
}

/// Sends until it is accepted.
async fn until_accepted(access: &Access, gateway: usize, client_id: &str) -> Result<u64> {
    let client = access.client_options(gateway, "alice", Encoding::Proto)?;
    let sender = Sender::new(SenderOptions { client, in_flight_max: 1 });
    let message = OutgoingMessage::new(TeamId::parse(TEAM)?, client_id);
    let message = OutgoingMessage { client_id: ClientId::parse(&named(client_id))?, ..message };
    let receipt = timeout(PATIENCE, async { sender.start_send(message, Receipt::Accepted).await?.receipt().await });
    Ok(receipt.await??.seq.get())
}

/// Sends on one connection, all at once; the position of each.
async fn send_at_once(access: &Access, client_ids: impl Iterator<Item = String>) -> Result<Vec<(String, u64)>> {
    let (client, _frames) = Box::pin(Client::connect(&access.client_options(0, "bob", Encoding::Proto)?)).await?;
    let mut pending = Vec::new();
    for client_id in client_ids {
        let send = client.start_send(&TeamId::parse(TEAM)?, &ClientId::parse(&client_id)?, &client_id).await?;
        pending.push(async move { anyhow::Ok((client_id, send.accepted().await?.seq.get())) });
    }
    timeout(PATIENCE, try_join_all(pending)).await?
}

/// What may stand in a `client_id`.
fn named(text: &str) -> String {
    text.replace(' ', "_")
}

/// The positions of the rows with a `client_id`.
async fn rows(access: &Access, client_id: &str) -> Result<Vec<u64>> {
    let stored = access.stored_events(TEAM).await?;
    let of_client = |event: &&StoredEvent| event.client_id == named(client_id);
    Ok(stored.iter().filter(of_client).map(|event| event.seq).collect())
}

/// Nobody has found a way to a node of NATS that is not a wire.
async fn assert_routes_go_through_wires(cluster: &mut Cluster) -> Result<()> {
    let nodes = 0..cluster.nats.urls().len();
    let ports: Vec<_> = nodes.clone().map(|index| cluster.nats.node(index).cluster_port()).collect();
    for index in nodes {
        let monitor_port = cluster.nats.node(index).monitor_port();
        let answer = http::get(&format!("http://127.0.0.1:{monitor_port}/routez"), None).await?.json()?;
        let routes = answer["routes"].as_array().context("no routes")?;
        ensure!(!routes.is_empty(), "a node without routes: {answer}");
        for route in routes {
            let port = route["port"].as_u64().context("a route without a port")?;
            ensure!(!ports.iter().any(|it| u64::from(*it) == port), "a direct route: {route}");
        }
        let info = http::get(&format!("http://127.0.0.1:{monitor_port}/varz"), None).await?.json()?;
        ensure!(info["connect_urls"].as_array().is_none_or(Vec::is_empty), "clients learn {}", info["connect_urls"]);
    }
    Ok(())
}
