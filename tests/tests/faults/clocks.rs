//! Clocks that are wrong.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use huddle_auth::{Minter, VerifierOptions};
use huddle_client::{Client, ClientOptions, Encoding};
use huddle_devstack::PostgresOptions;
use huddle_domain::UserId;
use huddle_proto::history::v1::ListEventsRequest;
use huddle_tests::{
    Access, Cluster, ClusterOptions, ProcessOptions, SECRET, SERVICE_TOKEN,
    faults::{World, WorldOptions, clock::Clock},
    until,
};

use crate::aid::older_entries;

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_SECONDS: i64 = 24 * 60 * 60;

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
    let (now, of_database) = (now()?, seconds_of_database(&cluster).await?);
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
    /// The bound of the metric of ages above which there is nothing unless a clock is fast by days, in seconds.
    const DAYS: &str = "67108.864";

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
    let began = now()?.cast_unsigned();
    world.run_for(WRONG).await?;
    for (gateway, persistence, postgres) in TIMES {
        world.fault("F33", &format!("gateway-1 by {gateway}, persistence by {persistence}, Postgres by {postgres}"));
        of_gateway.shift(gateway)?;
        of_persistence.shift(persistence)?;
        let older = older_entries(&world.cluster, DAYS).await?;
        of_postgres.shift(postgres)?;
        until("Postgres goes by its clock", PATIENCE, async || {
            let apart = seconds_of_database(&world.cluster).await? - (now()? + seconds(postgres)?);
            Ok((apart.abs() < APART_MAX.cast_signed()).then_some(()))
        })
        .await?;
        until_judged_by(&world.cluster, 1, seconds(gateway)?).await?;
        if seconds(persistence)? > DAY_SECONDS {
            until("persistence goes by its clock", PATIENCE, async || {
                Ok((older_entries(&world.cluster, DAYS).await? > older).then_some(()))
            })
            .await?;
        }
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

/// Waits until a gateway judges tokens by a clock that is so many seconds fast: what ended half a minute ago by that clock is
/// taken, and what ended a minute and a half ago is not; and the same for what begins.
async fn until_judged_by(access: &Access, gateway: usize, fast: i64) -> Result<()> {
    /// How long the tokens are valid.
    const TTL: i64 = 5 * 60;
    /// When they begin as against the clock, and whether they are taken: 60 s are tolerated at either end.
    const BEGINNINGS: [(i64, bool); 4] = [(-TTL - 90, false), (-TTL - 30, true), (30, true), (90, false)];

    let options = VerifierOptions { secret: Some(SECRET.to_owned()), ..VerifierOptions::default() };
    let (minter, alice) = (Minter::new(options)?, UserId::parse("alice")?);
    until(&format!("the gateway judges tokens by {fast} s"), PATIENCE, async || {
        for (begins, is_right) in BEGINNINGS {
            let begins = SystemTime::UNIX_EPOCH + Duration::from_secs((now()? + fast + begins).try_into()?);
            let token = minter.mint(&alice, None, Duration::from_secs(TTL.cast_unsigned()), begins)?;
            let outcome = Box::pin(Client::connect(&ClientOptions::new(access.ws_url(gateway), token))).await;
            if outcome.is_ok() != is_right {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

/// What `+10m` and the like mean, in seconds.
fn seconds(shift: &str) -> Result<i64> {
    let number = shift.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &shift[number.len()..] {
        "" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY_SECONDS,
        other => bail!("{other} is no unit"),
    };
    Ok(number.parse::<i64>()? * unit)
}

/// The right time, in seconds.
fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?)
}

async fn seconds_of_database(access: &Access) -> Result<i64> {
    #[derive(serde::Deserialize)]
    struct Now {
        now: i64,
    }
    let rows: Vec<Now> = access.rows("SELECT extract(epoch FROM now())::bigint AS now").await?;
    Ok(rows.first().context("no row")?.now)
}
