//! Nodes of NATS that die, stand still and are alone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use huddle_proto::history::v1::ListEventsRequest;
use huddle_tests::{
    SERVICE_TOKEN,
    faults::{World, WorldOptions},
    http, until,
};
use tokio::time::timeout;

use crate::aid::{
    CALM, ON_THEIR_WAY, PATIENCE, attach, attempts_in, connections_of_gateways, ends, ensure_none_accepted,
    longest_outcome, node_name,
};

/// The longest time without an acknowledgement while another leader is found.
const GAP_BOUND: Duration = Duration::from_secs(10);
/// How long a send may be without an answer: the log is tried for 15 s, and what is on its way then ends by itself.
const OUTCOME_BOUND: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn f08_when_the_leader_of_the_log_is_killed_sends_are_acknowledged_again_within_10_seconds() -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("F8"))).await?;
    world.run_for(CALM).await?;
    let leader = world.cluster.leader_of(0).await?.context("nobody leads the log")?;
    let name = world.cluster.nats.node(leader).name().to_owned();
    world.fault("F8", &format!("{name} killed, the leader of the log"));
    world.cluster.nats.node(leader).kill9()?;
    world.until_back(PATIENCE).await?;
    let measured = world.measure();
    world.cluster.nats.restart().await?;
    world.healed("F8");
    world.run_for(CALM).await?;
    Box::pin(world.settle()).await?;

    ensure!(measured.gap <= GAP_BOUND, "{measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_when_the_leader_of_the_log_stands_still_sends_go_on_within_10_seconds_and_it_steps_down_later()
-> Result<()> {
    const STANDS_STILL: Duration = Duration::from_secs(30);

    let mut world = Box::pin(World::start(WorldOptions::of("F9"))).await?;
    let leader = until("a node leads the log", PATIENCE, async || world.cluster.leader_of(0).await).await?;
    let attached = attach(&mut world.cluster, 0, leader).await?;
    world.until_back(PATIENCE).await?;
    world.run_for(CALM).await?;
    let observer = (leader + 1) % world.cluster.nats.urls().len();
    let leads = world.cluster.leader_as_seen_by(observer, 0).await?;
    ensure!(leads == Some(leader), "another leader before anything happened: {leads:?}");
    let connections = connections_of_gateways(&mut world.cluster, leader).await?;
    ensure!(connections.contains(&attached), "gateway-0 has left the leader: {attached} is not in {connections:?}");

    world.fault("F9", &format!("{} paused, the leader of the log with clients", node_name(leader)));
    let began = Instant::now();
    world.cluster.nats.node(leader).pause()?;
    world.run_for(ON_THEIR_WAY).await?;
    world.until_back(PATIENCE).await?;
    let next = world.cluster.leader_as_seen_by(observer, 0).await?;
    world.say(&format!("led by {:?} after {:?}", next.map(node_name), began.elapsed()));
    world.run_for(STANDS_STILL.saturating_sub(began.elapsed())).await?;
    world.cluster.nats.node(leader).resume()?;
    let resumed = Instant::now();
    until("the old leader follows another one", PATIENCE, async || {
        Ok(world.cluster.leader_as_seen_by(leader, 0).await?.filter(|it| *it != leader))
    })
    .await?;
    world.say(&format!("the old leader has stepped down {:?} after it went on", resumed.elapsed()));
    world.run_for(CALM).await?;
    let measured = world.measure();
    world.healed("F9");
    Box::pin(world.settle()).await?;

    ensure!(measured.gap <= GAP_BOUND, "{measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_leader_that_is_isolated_acknowledges_nothing_and_comes_back_without_divergence() -> Result<()> {
    const ISOLATED: Duration = Duration::from_secs(20);

    let mut world = Box::pin(World::start(WorldOptions::of("F10"))).await?;
    let leader = until("a node leads the log", PATIENCE, async || world.cluster.leader_of(0).await).await?;
    let nodes = world.cluster.nats.urls().len();
    // One gateway is on the leader's side, and everybody else on the other.
    for node in 0..nodes {
        let on_the_other_side = ["gateway-1", "persistence", "history", "directory"];
        let cut_off: &[&str] = if node == leader { &on_the_other_side } else { &["gateway-0"] };
        for process in cut_off {
            world.cluster.wires().between(process, &node_name(node)).cut();
        }
    }
    world.cluster.wait_until_ready().await?;
    world.until_back(PATIENCE).await?;
    world.run_for(CALM).await?;

    let observer = (leader + 1) % nodes;
    world.fault("F10", &format!("{} isolated, the leader of the log, with gateway-0", node_name(leader)));
    let from_us = world.recorder().now_us();
    let began = Instant::now();
    world.cluster.wires().between(&node_name(leader), "nats").silence();
    let next = until("another node leads in the eyes of the others", PATIENCE, async || {
        Ok(world.cluster.leader_as_seen_by(observer, 0).await?.filter(|it| *it != leader))
    });
    let next = next.await?;
    world.say(&format!("{} leads after {:?}", node_name(next), began.elapsed()));
    world.run_for(ISOLATED.saturating_sub(began.elapsed())).await?;
    let measured = world.measure();
    let until_us = world.recorder().now_us();
    world.cluster.wires().all().heal();
    world.healed("F10");
    let back = world.until_back(PATIENCE).await?;
    world.say(&format!("all are back {back:?} after it healed"));
    until("all nodes agree", PATIENCE, async || {
        let mut seen = Vec::new();
        for observer in 0..nodes {
            seen.push(world.cluster.leader_as_seen_by(observer, 0).await?);
        }
        Ok((seen[0].is_some() && seen.iter().all(|it| *it == seen[0])).then_some(()))
    })
    .await?;
    Box::pin(world.settle()).await?;
    let mut last = Vec::new();
    for observer in 0..nodes {
        last.push(world.cluster.last_seq_as_seen_by(observer, 0).await?);
    }

    ensure!(last.iter().all(|it| it.is_some() && *it == last[0]), "the copies end at {last:?}");
    let attempts = attempts_in(&world)?;
    world.say(&format!("isolated: {:?}", ends(&attempts, "gateway-0", from_us, until_us)));
    ensure_none_accepted(&attempts, "gateway-0", from_us + micros(ON_THEIR_WAY), until_us)?;
    let outcome = longest_outcome(&attempts, "gateway-0", from_us, until_us)?;
    ensure!(outcome <= OUTCOME_BOUND, "a send had no answer for {outcome:?}");
    ensure!(measured.gateways["gateway-1"].gap <= GAP_BOUND, "{measured}");
    Box::pin(world.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_without_a_majority_nothing_is_acknowledged_history_is_served_and_it_recovers_when_one_node_returns()
-> Result<()> {
    const ALONE: Duration = Duration::from_secs(25);
    /// An election, and the pauses of those who try again.
    const BACK_BOUND: Duration = Duration::from_secs(30);

    let mut world = Box::pin(World::start(WorldOptions::of("F11"))).await?;
    world.run_for(CALM).await?;
    let leader = world.cluster.leader_of(0).await?.context("nobody leads the log")?;
    let other = (leader + 1) % world.cluster.nats.urls().len();
    world.fault("F11", &format!("{} and {} killed", node_name(leader), node_name(other)));
    let began = Instant::now();
    let from_us = world.recorder().now_us();
    world.cluster.nats.node(leader).kill9()?;
    world.cluster.nats.node(other).kill9()?;
    let mut reads = 0;
    while began.elapsed() < ALONE {
        world.run_for(Duration::from_secs(2)).await?;
        history_is_served(&world).await?;
        reads += 1;
    }
    world.say(&format!("history answered {reads} times over gRPC and REST"));
    let until_us = world.recorder().now_us();

    world.cluster.nats.node(other).restart().await?;
    let back = world.until_back(PATIENCE).await?;
    world.say(&format!("all are back {back:?} after {} was", node_name(other)));
    let _ = world.measure();
    world.cluster.nats.restart().await?;
    world.healed("F11");
    world.run_for(CALM).await?;
    Box::pin(world.settle()).await?;

    let attempts = attempts_in(&world)?;
    for gateway in ["gateway-0", "gateway-1"] {
        world.say(&format!("{gateway} meanwhile: {:?}", ends(&attempts, gateway, from_us, until_us)));
        ensure_none_accepted(&attempts, gateway, from_us + micros(ON_THEIR_WAY), until_us)?;
        let outcome = longest_outcome(&attempts, gateway, from_us, until_us)?;
        ensure!(outcome <= OUTCOME_BOUND, "a send had no answer for {outcome:?}");
    }
    ensure!(back <= BACK_BOUND, "back after {back:?}");
    Box::pin(world.finish()).await
}

/// History answers over gRPC, and through a gateway.
async fn history_is_served(world: &World) -> Result<()> {
    const ANSWER_BOUND: Duration = Duration::from_secs(5);
    let team = "team-1-0";
    let mut history = world.cluster.history_client(SERVICE_TOKEN)?;
    let request = ListEventsRequest { team: team.to_owned(), after: 0, limit: 10, min_seq: 0 };
    let page = timeout(ANSWER_BOUND, history.list_events(request)).await.context("history does not answer")??;
    ensure!(!page.into_inner().events.is_empty(), "history is empty");
    let url = format!("{}/v1/teams/{team}/messages", world.cluster.http_url(0));
    let answer = timeout(ANSWER_BOUND, http::get(&url, Some(&world.cluster.token("owner")?))).await;
    let answer = answer.context("the gateway does not answer")??;
    ensure!(answer.status == 200, "the gateway answered {}: {}", answer.status, answer.body);
    Ok(())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
