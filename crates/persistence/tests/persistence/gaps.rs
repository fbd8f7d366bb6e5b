//! Positions that are missing from the log.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use huddle_domain::{NewEvent, Seq};
use huddle_store::PartitionStore as _;
use tokio::time::timeout;

use crate::{
    holed::Holed,
    support::{P0, PATIENCE, Replica, Stack, assert_exactly_once, eventually, publish, stored, stored_up_to, team},
};

/// How long a gap is waited for, and what a busy machine may add.
const WAIT: Duration = Duration::from_secs(10);
const WAIT_MARGIN: Duration = Duration::from_secs(8);

/// How soon the alarm is raised.
const ALARM_MAX: Duration = Duration::from_secs(5);

/// How soon a process stops.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A log with 40 messages, of which nothing is stored.
async fn filled(stack: &Stack) -> Vec<(Seq, NewEvent)> {
    // Makes the partition.
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    replica.stop().await;
    publish(&*stack.log().await, &team("a"), 1, 40).await
}

async fn held_before(stack: &Stack, replica: &Replica, before: Seq) {
    let held = "huddle_persistence_gap_held{partition=\"0\"}";
    eventually(ALARM_MAX, async || replica.metric(held) == 1).await;
    let reason = replica.readiness.report().checks[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("are missing from the log"), "{reason}");
    assert_eq!(stack.store().progress(P0).await.unwrap(), before, "what lies before the gap is stored at once");
}

#[tokio::test]
async fn entries_that_turn_up_on_another_copy_are_stored_as_if_they_had_never_been_missing() {
    let stack = Stack::start().await;
    let published = filled(&stack).await;
    let position = |place: usize| published[place].0.get();
    let log = Holed::new(stack.log().await, 4, vec![position(10)..=position(12), position(20)..=position(20)]);
    let replica = Replica::start(log.clone(), &stack.store_config());
    held_before(&stack, &replica, published[9].0).await;
    assert!(replica.owns());

    stored_up_to(&stack.store(), published[39].0).await;
    assert_exactly_once(&stored(&stack.store(), &team("a")).await, &published);
    assert!(log.reads.load(Ordering::Relaxed) >= 5, "each look is a reader of its own");
    assert_eq!(stack.gaps().await, "");
    eventually(PATIENCE, async || replica.readiness.is_ready()).await;
    assert_eq!(replica.metric("huddle_persistence_gap_held{partition=\"0\"}"), 0);
    assert_eq!(replica.metric("huddle_persistence_gaps_filled_total"), 1);
    assert_eq!(replica.metric("huddle_persistence_gaps_total"), 0);
    replica.stop().await;
}

#[tokio::test]
async fn entries_that_are_nowhere_are_passed_over_after_a_bounded_wait_and_the_gaps_are_on_record() {
    let stack = Stack::start().await;
    let published = filled(&stack).await;
    let position = |place: usize| published[place].0.get();
    let holes = vec![position(10)..=position(12), position(20)..=position(20), position(30)..=position(31)];
    let log = Holed::new(stack.log().await, u32::MAX, holes.clone());
    let began = Instant::now();
    let replica = Replica::start(log, &stack.store_config());
    held_before(&stack, &replica, published[9].0).await;
    let second = stack.replica().await;

    stored_up_to(&stack.store(), published[39].0).await;
    let waited = began.elapsed();
    assert!(waited >= WAIT, "{waited:?}");
    assert!(waited < WAIT + WAIT_MARGIN, "gaps of one copy are waited for once: {waited:?}");
    assert!(replica.owns() && !second.owns(), "who waits is the owner still");
    let kept: Vec<_> = (0..40).filter(|place| !holes.iter().any(|hole| hole.contains(&position(*place)))).collect();
    let kept: Vec<_> = kept.into_iter().map(|place| published[place].clone()).collect();
    assert_exactly_once(&stored(&stack.store(), &team("a")).await, &kept);
    let gap = |before: usize, after: usize| format!("{}|{}", position(before), position(after));
    assert_eq!(stack.gaps().await, [gap(9, 13), gap(19, 21), gap(29, 32)].join("\n"));
    eventually(PATIENCE, async || replica.metric("huddle_persistence_gaps_total") == 3).await;
    eventually(PATIENCE, async || replica.readiness.is_ready()).await;
    assert_eq!(replica.metric("huddle_persistence_terms_failed_total"), 0);
    replica.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn entries_that_aged_out_before_they_were_stored_are_a_gap_on_record() {
    let stack = Stack::start().await;
    let published = filled(&stack).await;
    stack.forget(published[24].0).await;
    let replica = stack.replica().await;
    let start = Seq::ZERO;
    held_before(&stack, &replica, start).await;
    stored_up_to(&stack.store(), published[39].0).await;
    assert_exactly_once(&stored(&stack.store(), &team("a")).await, &published[25..]);
    assert_eq!(stack.gaps().await, format!("{start}|{}", published[25].0));
    replica.stop().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_what_is_missing() {
    let stack = Stack::start().await;
    let published = filled(&stack).await;
    let hole = published[10].0.get()..=published[12].0.get();
    let replica = Replica::start(Holed::new(stack.log().await, u32::MAX, vec![hole]), &stack.store_config());
    held_before(&stack, &replica, published[9].0).await;
    let began = Instant::now();
    replica.stop().await;
    assert!(began.elapsed() < STOP_MAX, "{:?}", began.elapsed());
    assert_eq!(stack.gaps().await, "");
    // The next owner meets it, and has the whole copy.
    let replica = stack.replica().await;
    stored_up_to(&stack.store(), published[39].0).await;
    assert_exactly_once(&stored(&stack.store(), &team("a")).await, &published);
    replica.stop().await;
}
