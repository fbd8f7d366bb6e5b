//! Gateways that die, stand still, and go.

use std::time::Duration;

use anyhow::{Result, ensure};
use huddle_tests::faults::{World, WorldOptions};

/// What runs before anything is broken, so that there is something to compare with.
const CALM: Duration = Duration::from_secs(5);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn f01_clients_of_a_killed_gateway_go_on_elsewhere_within_5_seconds_and_lose_and_double_nothing() -> Result<()> {
    const BACK_BOUND: Duration = Duration::from_secs(5);

    let mut world = Box::pin(World::start(WorldOptions::of("F1"))).await?;
    world.run_for(CALM).await?;
    world.fault("F1", "gateway-0 killed");
    world.cluster.gateways[0].kill9()?;
    world.until_back(PATIENCE).await?;
    let measured = world.measure();
    world.cluster.gateways[0].restart().await?;
    world.healed("F1");
    world.run_for(CALM).await?;
    Box::pin(world.settle()).await?;

    let (killed, other) = (&measured.gateways["gateway-0"], &measured.gateways["gateway-1"]);
    ensure!(killed.worst_client_gap <= BACK_BOUND, "clients of the killed gateway: {measured}");
    ensure!(other.gap <= Duration::from_secs(1), "clients of the other gateway: {measured}");
    Box::pin(world.finish()).await
}
