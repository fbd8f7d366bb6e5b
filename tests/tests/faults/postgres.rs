//! Postgres that dies and comes back, and that takes its time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use huddle_proto::history::v1::ListEventsRequest;
use huddle_tests::{
    SERVICE_TOKEN,
    faults::{World, WorldOptions},
    until,
};

/// What runs before anything is broken, and after it is mended.
const CALM: Duration = Duration::from_secs(4);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time without an acknowledgement while Postgres is away: sends do not need it.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Reads while Postgres is away.
const READS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn f24_while_postgres_is_dead_sends_go_on_and_reads_are_refused_and_never_short() -> Result<()> {
    const AWAY: Duration = Duration::from_secs(10);

    let mut world = Box::pin(World::start(WorldOptions::of("F24"))).await?;
    world.run_for(CALM).await?;
    world.fault("F24", "postgres killed");
    world.cluster.postgres.kill9()?;
    let killed = Instant::now();
    for _ in 0..READS {
        read_is_refused(&world).await?;
    }
    world.run_for(AWAY.saturating_sub(killed.elapsed())).await?;
    world.cluster.postgres.restart().await?;
    let back = Instant::now();
    until("a replica owns the partition", PATIENCE, async || world.cluster.owner_of(0).await).await?;
    println!("stored again {:?} after Postgres was back", back.elapsed());
    world.healed("F24");
    world.until_back(PATIENCE).await?;
    let measured = world.measure();
    ensure!(measured.gap <= GAP_MAX, "{measured}");

    world.fault("F24", "postgres ends all its sessions");
    world.cluster.rows::<serde_json::Value>(END_ALL_OTHERS).await?;
    world.healed("F24");
    world.run_for(CALM).await?;
    let measured = world.measure();
    ensure!(measured.gap <= GAP_MAX, "{measured}");
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

const END_ALL_OTHERS: &str = "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity \
                              WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

async fn read_is_refused(world: &World) -> Result<()> {
    let request = ListEventsRequest { team: "nowhere".to_owned(), after: 0, limit: 10, min_seq: 0 };
    let answer = world.cluster.history_client(SERVICE_TOKEN)?.list_events(request).await;
    let status = answer.err().map(|status| status.code());
    let is_refused = matches!(status, Some(tonic::Code::Unavailable | tonic::Code::DeadlineExceeded));
    ensure!(is_refused, "an answer without Postgres: {status:?}");
    Ok(())
}
