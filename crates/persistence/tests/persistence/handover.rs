//! Several replicas: one works, another takes over.

use std::time::{Duration, Instant};

use huddle_store::{Batch, PartitionStore as _};
use tokio::time::timeout;

use crate::support::{
    P0, PATIENCE, Replica, Stack, assert_exactly_once, eventually, publish, stored, stored_up_to, team,
};

/// How long a partition may be without an owner.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// A replica that owns, and one that waits and is ready all the same.
async fn pair(stack: &Stack) -> (Replica, Replica) {
    let first = stack.replica().await;
    assert!(timeout(PATIENCE, first.readiness.wait_until_ready()).await.unwrap());
    let second = stack.replica().await;
    assert!(timeout(PATIENCE, second.readiness.wait_until_ready()).await.unwrap());
    assert!(first.owns() && !second.owns());
    (first, second)
}

#[tokio::test]
async fn a_replica_takes_over_from_one_that_stops() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let (first, second) = pair(&stack).await;
    let mut published = publish(&*log, &team("a"), 1, 500).await;
    first.stop().await;
    eventually(TAKEOVER_MAX, async || second.owns()).await;
    published.extend(publish(&*log, &team("a"), 501, 500).await);
    stored_up_to(&store, published[999].0).await;
    assert_exactly_once(&stored(&store, &team("a")).await, &published);
    second.stop().await;
}

#[tokio::test]
async fn a_replica_takes_over_from_one_that_is_killed_in_the_middle_of_traffic() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    let (first, second) = pair(&stack).await;
    let team = team("a");
    let traffic = publish(&*log, &team, 1, 5_000);
    let takeover = async {
        eventually(PATIENCE, async || first.metric("huddle_persistence_events_stored_total") > 0).await;
        first.kill().await;
        let killed = Instant::now();
        eventually(TAKEOVER_MAX, async || second.owns()).await;
        killed.elapsed()
    };
    let (published, without_owner) = tokio::join!(traffic, takeover);
    assert!(without_owner < TAKEOVER_MAX, "{without_owner:?}");
    stored_up_to(&store, published[4_999].0).await;
    assert_exactly_once(&stored(&store, &team).await, &published);
    second.stop().await;
}

#[tokio::test]
async fn a_replica_takes_over_from_an_owner_that_says_nothing_any_more() {
    let stack = Stack::start().await;
    let (log, store) = (stack.log().await, stack.store());
    // An owner that holds its connection open and does nothing is what a paused process looks like to Postgres.
    let mut paused = store.claim(P0).await.unwrap().unwrap();
    let began = Instant::now();
    let replica = stack.replica().await;
    eventually(TAKEOVER_MAX, async || replica.owns()).await;
    assert!(began.elapsed() > Duration::from_secs(2), "a pause of a moment costs no one the claim");
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());

    let published = publish(&*log, &team("a"), 1, 10).await;
    stored_up_to(&store, published[9].0).await;
    let late = paused.apply(Batch { through: published[9].0.next(), ..Batch::default() }).await;
    assert!(late.unwrap_err().is_retryable());
    assert!(paused.confirm().await.is_err());
    assert_exactly_once(&stored(&store, &team("a")).await, &published);
    assert_eq!(store.progress(P0).await.unwrap(), published[9].0);
    replica.stop().await;
}

#[tokio::test]
async fn a_quiet_owner_stays_the_owner() {
    let stack = Stack::start().await;
    let (first, second) = pair(&stack).await;
    let quiet_until = Instant::now() + Duration::from_secs(6);
    eventually(PATIENCE, async || {
        assert!(first.owns() && !second.owns());
        Instant::now() >= quiet_until
    })
    .await;
    assert_eq!(first.metric("huddle_persistence_terms_failed_total"), 0);
    first.stop().await;
    second.stop().await;
}
