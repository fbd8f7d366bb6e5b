//! Nodes of NATS that die and stand still.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use huddle_tests::faults::{World, WorldOptions};

/// What runs before anything is broken, so that there is something to compare with.
const CALM: Duration = Duration::from_secs(5);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn f08_when_the_leader_of_the_log_is_killed_sends_are_acknowledged_again_within_10_seconds() -> Result<()> {
    const GAP_BOUND: Duration = Duration::from_secs(10);

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
