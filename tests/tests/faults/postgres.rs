//! Postgres that dies and comes back, and that takes its time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_proto::{event::v1::Event, history::v1::ListEventsRequest};
use huddle_tests::{
    SERVICE_TOKEN,
    faults::{World, WorldOptions},
    http, until,
};

use crate::aid::ensure_refused_or_whole;

/// What runs before anything is broken, and after it is mended.
const CALM: Duration = Duration::from_secs(4);
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time without an acknowledgement while Postgres is away: sends do not need it.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Reads while Postgres is away, over gRPC and over REST.
const READS: usize = 20;
/// A team of the fleet, and who is in it without doing anything.
const TEAM: &str = "team-1-0";
const BYSTANDER: &str = "owner";
/// Events of a page.
const PAGE: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn f24_while_postgres_is_dead_sends_go_on_and_reads_are_refused_and_never_short() -> Result<()> {
    const AWAY: Duration = Duration::from_secs(10);

    let mut world = Box::pin(World::start(WorldOptions::of("F24"))).await?;
    world.run_for(CALM).await?;
    let before = page(&world).await?.map_err(|status| anyhow::anyhow!("a page is refused: {status}"))?;
    ensure!(before.len() == usize::try_from(PAGE)?, "only {} events in {TEAM}", before.len());
    world.fault("F24", "postgres killed");
    world.cluster.postgres.kill9()?;
    let killed = Instant::now();
    let mut refused = (0, 0);
    for _ in 0..READS {
        refused.0 += usize::from(is_page_refused(&world, &before).await?);
        refused.1 += usize::from(is_list_refused(&world).await?);
    }
    println!("of {READS} reads over gRPC and {READS} over REST were refused: {refused:?}");
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

/// The first events of a team that has more of them, over gRPC.
async fn page(world: &World) -> Result<Result<Vec<Event>, tonic::Status>> {
    let request = ListEventsRequest { team: TEAM.to_owned(), after: 0, limit: PAGE, min_seq: 0 };
    let answer = world.cluster.history_client(SERVICE_TOKEN)?.list_events(request).await;
    Ok(answer.map(|page| page.into_inner().events))
}

/// Whether a page is refused; if not it must be what it was `before`.
async fn is_page_refused(world: &World, before: &[Event]) -> Result<bool> {
    match page(world).await? {
        Ok(events) => ensure!(events == before, "{events:?} instead of {before:?}"),
        Err(status) if matches!(status.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded) => {
            return Ok(true);
        }
        Err(status) => bail!("refused otherwise: {status}"),
    }
    Ok(false)
}

/// Whether the newest messages are refused over REST; if not they must go as far as what was acknowledged.
async fn is_list_refused(world: &World) -> Result<bool> {
    let acknowledged = *world.recorder().recently_accepted(TEAM).last().context("no sends")?;
    let url = format!("{}/v1/teams/{TEAM}/messages", world.cluster.http_url(0));
    let answer = http::get(&url, Some(&world.cluster.token(BYSTANDER)?)).await?;
    Ok(!ensure_refused_or_whole(&answer, acknowledged)?)
}
