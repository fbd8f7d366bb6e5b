//! Clocks that are wrong.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use huddle_client::{Client, Encoding};
use huddle_devstack::PostgresOptions;
use huddle_proto::history::v1::ListEventsRequest;
use huddle_tests::{
    Access, Cluster, ClusterOptions, ProcessOptions, SERVICE_TOKEN,
    faults::{World, WorldOptions, clock::Clock},
    until,
};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_SECONDS: u64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_process_goes_by_the_clock_that_it_is_given_and_by_no_other() -> Result<()> {
    let (of_gateway, of_postgres) = (Clock::new()?, Clock::new()?);
    of_postgres.shift("-3d")?;
    let gateway = ProcessOptions { environment: of_gateway.environment(), ..ProcessOptions::default() };
    let options = ClusterOptions {
        persistence: 1,
        processes: BTreeMap::from([("gateway-1".to_owned(), gateway)]),
        postgres: PostgresOptions { environment: of_postgres.environment(), ..PostgresOptions::for_tests() },
        ..ClusterOptions::default()
    };
    let cluster = Box::pin(Cluster::start(options)).await?;
    cluster.create_team("team", &["alice"]).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let of_database = seconds_of_database(&cluster).await?;
    assert!(now.abs_diff(of_database + 3 * DAY_SECONDS) < 60, "{of_database} is not three days before {now}");

    assert!(is_taken(&cluster, 0).await && is_taken(&cluster, 1).await, "a fresh token is refused");
    // The token is valid for an hour.
    of_gateway.shift("+2h")?;
    until("the gateway whose clock is fast refuses the token", PATIENCE, async || {
        Ok((!is_taken(&cluster, 1).await).then_some(()))
    })
    .await?;
    assert!(is_taken(&cluster, 0).await, "the other one, too");
    of_gateway.shift("+0")?;
    until("the token is taken again", PATIENCE, async || Ok(is_taken(&cluster, 1).await.then_some(()))).await?;
    Box::pin(cluster.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f33_clocks_that_jump_change_no_order_no_retry_and_no_time_of_a_message() -> Result<()> {
    /// How long each wrong time lasts.
    const WRONG: Duration = Duration::from_secs(6);
    /// Tokens are valid for an hour, so a gateway's clock may be wrong by less. The others judge no token.
    const TIMES: [(&str, &str, &str); 3] = [("-10m", "-1h", "+1h"), ("+10m", "+90d", "-10m"), ("+0", "+0", "+0")];
    const APART_MAX: u64 = 60;

    let (of_gateway, of_persistence, of_postgres) = (Clock::new()?, Clock::new()?, Clock::new()?);
    let under = |clock: &Clock| ProcessOptions { environment: clock.environment(), ..ProcessOptions::default() };
    let options = WorldOptions::of("F33");
    let cluster = ClusterOptions {
        processes: BTreeMap::from([
            ("gateway-1".to_owned(), under(&of_gateway)),
            ("persistence-0".to_owned(), under(&of_persistence)),
            ("persistence-1".to_owned(), under(&of_persistence)),
        ]),
        postgres: PostgresOptions { environment: of_postgres.environment(), ..PostgresOptions::for_tests() },
        ..options.cluster.clone()
    };
    let mut world = Box::pin(World::start(WorldOptions { cluster, ..options })).await?;
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    world.run_for(WRONG).await?;
    for (gateway, persistence, postgres) in TIMES {
        world.fault("F33", &format!("gateway-1 by {gateway}, persistence by {persistence}, Postgres by {postgres}"));
        of_gateway.shift(gateway)?;
        of_persistence.shift(persistence)?;
        of_postgres.shift(postgres)?;
        world.run_for(WRONG).await?;
    }
    world.healed("F33");
    let teams: Vec<String> = world.recorder().replay(|tape| tape.teams().to_vec());
    Box::pin(world.settle()).await?;
    for team in teams {
        for time in times_of(&world.cluster, &team).await? {
            let apart = time.saturating_sub(began).max(began.saturating_sub(time));
            assert!(apart < APART_MAX, "an event of {team} claims to be {apart} s away from the beginning");
        }
    }
    Box::pin(world.finish()).await
}

/// When the events of `team` happened, in seconds.
async fn times_of(access: &Access, team: &str) -> Result<Vec<u64>> {
    let request = ListEventsRequest { team: team.to_owned(), after: 0, limit: 1_000, min_seq: 0 };
    let page = access.history_client(SERVICE_TOKEN)?.list_events(request).await?.into_inner();
    page.events.iter().map(|event| Ok(u64::try_from(event.time_ms)? / 1_000)).collect()
}

async fn is_taken(access: &Access, gateway: usize) -> bool {
    let Ok(options) = access.client_options(gateway, "alice", Encoding::Json) else { return false };
    Box::pin(Client::connect(&options)).await.is_ok()
}

async fn seconds_of_database(access: &Access) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Now {
        now: u64,
    }
    let rows: Vec<Now> = access.rows("SELECT extract(epoch FROM now())::bigint AS now").await?;
    Ok(rows.first().context("no row")?.now)
}
