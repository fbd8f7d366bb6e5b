//! Clocks that are wrong.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use huddle_client::{Client, Encoding};
use huddle_devstack::PostgresOptions;
use huddle_tests::{Access, Cluster, ClusterOptions, ProcessOptions, faults::clock::Clock, until};

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
