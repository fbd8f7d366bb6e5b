//! A rolling deploy: every gateway and every replica of persistence is replaced, one after the other, under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use huddle_tests::{
    ClusterOptions,
    faults::{FleetOptions, World, WorldOptions},
};

const GATEWAYS: usize = 3;
const PERSISTENCE: usize = 2;
/// What the fleet is asked for: each client waits anew after a message, and makes up for nothing.
const MESSAGES_PER_SECOND: f64 = 530.0;
/// What runs before and between the steps.
const CALM: Duration = Duration::from_secs(4);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
const DELAY_P99_MAX: Duration = Duration::from_secs(2);
/// What must have been acknowledged per second, all the time taken together.
const ACKNOWLEDGED_PER_SECOND_MIN: f64 = 450.0;

#[tokio::test(flavor = "multi_thread")]
async fn f03_a_rolling_deploy_at_500_messages_a_second_loses_doubles_and_delays_nothing() -> Result<()> {
    let options = WorldOptions::of("F3");
    let settings = vec![("gateway.drain".to_owned(), "3s".to_owned())];
    let cluster = ClusterOptions { gateways: GATEWAYS, persistence: PERSISTENCE, settings, ..options.cluster.clone() };
    let fleet =
        FleetOptions { messages_per_second: MESSAGES_PER_SECOND, teams: 14, native: 44, ..options.fleet.clone() };
    let mut world = Box::pin(World::start(WorldOptions { cluster, fleet, ..options })).await?;
    world.run_for(CALM).await?;

    world.fault("F3", "all replaced, one after the other");
    let began = Instant::now();
    for gateway in 0..GATEWAYS {
        world.cluster.gateways[gateway].terminate().await?;
        world.cluster.gateways[gateway].restart().await?;
        world.until_back(PATIENCE).await?;
        world.run_for(CALM).await?;
    }
    for replica in 0..PERSISTENCE {
        world.cluster.persistence[replica].terminate().await?;
        world.cluster.persistence[replica].restart().await?;
        world.run_for(CALM).await?;
    }
    let measured = world.measure();
    let took = began.elapsed();
    world.healed("F3");
    Box::pin(world.settle()).await?;

    let acknowledged = u32::try_from(measured.accepted_since)?;
    let per_second = f64::from(acknowledged) / took.as_secs_f64();
    world.say(&format!("{acknowledged} acknowledged in {took:?}: {per_second:.0} per second"));
    ensure!(per_second >= ACKNOWLEDGED_PER_SECOND_MIN, "only {per_second:.0} messages per second");
    let delays = (measured.p99_since, measured.delivery_p99_since);
    ensure!(delays.0 <= DELAY_P99_MAX && delays.1 <= DELAY_P99_MAX, "{measured}");
    Box::pin(world.finish()).await
}
