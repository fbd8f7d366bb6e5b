//! Backends that fail.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, Stack, assert_exactly_once, eventually, publish, stored, stored_up_to, team};

/// How long Postgres is away.
const OUTAGE: Duration = Duration::from_secs(10);

/// How long after its return the store has caught up.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

#[tokio::test]
async fn everything_is_stored_exactly_once_across_forced_restarts() {
    let mut stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let team = team("a");
    let (done, mut finished) = tokio::sync::watch::channel(false);
    let traffic = async {
        let published = publish(&*log, &team, 1, 20_000).await;
        done.send_replace(true);
        published
    };
    let restarts = async {
        let mut rounds = 0;
        while !*finished.borrow_and_update() || rounds < 6 {
            let replica = stack.replica().await;
            eventually(PATIENCE, async || replica.metric("huddle_persistence_batches_total") > 0 || *finished.borrow())
                .await;
            match rounds % 3 {
                0 => stack.cut_owners().await,
                1 => {
                    stack.postgres.kill9().unwrap();
                    stack.postgres.restart().await.unwrap();
                }
                _ => {
                    stack.nats.kill9().unwrap();
                    stack.nats.restart().await.unwrap();
                }
            }
            replica.kill().await;
            rounds += 1;
        }
    };
    let (published, ()) = tokio::join!(traffic, restarts);
    let replica = stack.replica().await;
    stored_up_to(&store, published[published.len() - 1].0).await;
    assert_exactly_once(&stored(&store, &team).await, &published);
    assert_eq!(replica.metric("huddle_persistence_gaps_total"), 0);
    replica.stop().await;
}

#[tokio::test]
async fn an_outage_of_postgres_is_waited_out_and_caught_up_with() {
    let mut stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let mut published = publish(&*log, &team("a"), 1, 100).await;

    stack.postgres.kill9().unwrap();
    let began = Instant::now();
    // The log takes what comes, as if nothing had happened.
    published.extend(publish(&*log, &team("a"), 101, 2_000).await);
    eventually(PATIENCE, async || !replica.readiness.is_ready()).await;
    sleep(OUTAGE.saturating_sub(began.elapsed())).await;
    assert!(!replica.readiness.is_ready());

    stack.postgres.restart().await.unwrap();
    let back = Instant::now();
    stored_up_to(&store, published[2_099].0).await;
    assert!(back.elapsed() < CATCH_UP_MAX, "{:?}", back.elapsed());
    eventually(PATIENCE, async || replica.readiness.is_ready()).await;
    assert_exactly_once(&stored(&store, &team("a")).await, &published);
    replica.stop().await;
}

#[tokio::test]
async fn backends_that_are_down_at_the_start_are_waited_for() {
    let mut stack = Stack::start().await;
    stack.postgres.stop().await.unwrap();
    let replica = stack.replica().await;
    let failed = async || replica.metric("huddle_persistence_terms_failed_total") >= 1;
    eventually(PATIENCE, failed).await;
    assert!(!replica.readiness.is_ready());
    let reason = replica.readiness.report().checks[0].reason.clone().unwrap();
    assert!(reason.contains("the store cannot be reached"), "{reason}");

    stack.nats.stop().await.unwrap();
    stack.postgres.restart().await.unwrap();
    let log_is_missed = async || {
        let reason = replica.readiness.report().checks[0].reason.clone().unwrap_or_default();
        reason.contains("the log cannot be reached")
    };
    eventually(PATIENCE, log_is_missed).await;

    stack.nats.restart().await.unwrap();
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    let published = publish(&*stack.log().await, &team("a"), 1, 10).await;
    stored_up_to(&stack.store(), published[9].0).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_shutdown_during_an_outage_does_not_wait_for_its_end() {
    let mut stack = Stack::start().await;
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    stack.postgres.kill9().unwrap();
    eventually(PATIENCE, async || !replica.readiness.is_ready()).await;
    let began = Instant::now();
    replica.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
