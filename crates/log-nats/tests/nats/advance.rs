//! What advancing does to a stream, and fences that were left behind: the servers refuse publishes, nothing is lost, and
//! whoever comes next goes on.

use std::time::Duration;

use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use huddle_devstack::NatsOptions;
use huddle_domain::{ClientId, EventKind, NewEvent, Partition, Partitions, Seq, TeamId, UserId};
use huddle_log::{Condition, LiveItem, Log, LogError, PublishError, Published};
use huddle_log_nats::NatsLog;
use tokio::time::timeout;

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);
const STREAM: &str = "HUDDLE_LOG_0";
const PATIENCE: Duration = Duration::from_secs(40);
const FENCE: &str = "huddle_advancing_to";

fn team() -> TeamId {
    TeamId::parse("a").unwrap()
}

fn event(number: usize) -> NewEvent {
    NewEvent {
        team: team(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&number.to_string()).unwrap(),
        kind: EventKind::TeamArchived,
    }
}

async fn publish(log: &NatsLog, number: usize) -> Result<Published, PublishError> {
    timeout(PATIENCE, async { log.publish(event(number), Condition::None).await?.await }).await.unwrap()
}

/// A log that holds three entries, and the position of the last.
async fn with_three_entries(options: NatsOptions) -> (Served, NatsLog, Seq) {
    let served = Served::start(options, Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let mut last = Seq::ZERO;
    for number in 0..3 {
        last = publish(&log, number).await.unwrap().seq;
    }
    (served, log, last)
}

async fn info(served: &Served) -> stream::Info {
    served.jetstream().await.get_stream(STREAM).await.unwrap().cached_info().clone()
}

/// Leaves a fence as an advance that is killed after its first step.
async fn raise_fence(served: &Served, target: Seq) {
    let mut settings = info(served).await.config;
    settings.max_message_size = 1;
    settings.metadata.insert(FENCE.to_owned(), target.to_string());
    served.jetstream().await.update_stream(settings).await.unwrap();
}

async fn assert_without_fence(served: &Served) {
    let settings = info(served).await.config;
    assert_eq!(settings.max_message_size, 256 * 1024);
    assert!(!settings.metadata.contains_key(FENCE));
}

async fn advancing_leaves_a_hole_that_outlives_a_restart(options: NatsOptions) {
    let (served, log, last) = with_three_entries(options).await;
    let above = Seq::new(5_000_000_000);
    let mut feed = log.subscribe(&team()).await.unwrap();
    assert_eq!(log.advance(PARTITION, last, above).await.unwrap(), above);
    let state = info(&served).await.state;
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (above.get() + 1, above.get(), 0));
    assert_without_fence(&served).await;
    {
        let mut nats = served.nats.lock().await;
        nats.kill9().unwrap();
        nats.restart().await.unwrap();
    }
    served.leader_after_restart().await;
    let state = info(&served).await.state;
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (above.get() + 1, above.get(), 0));
    let published = loop {
        match publish(&log, 3).await {
            Err(PublishError::Unavailable { .. }) => {}
            outcome => break outcome.unwrap(),
        }
    };
    assert_eq!((published.seq, published.duplicate), (above.next(), false));
    let event = loop {
        match timeout(PATIENCE, feed.next()).await.unwrap().unwrap() {
            LiveItem::Event(event) => break event,
            LiveItem::Interrupted => {}
        }
    };
    // The server knows of no earlier message of the team.
    assert_eq!((event.seq, event.prev_seq), (above.next(), Seq::ZERO));
}

#[tokio::test]
async fn advancing_one_node_leaves_a_hole_that_outlives_a_restart() {
    advancing_leaves_a_hole_that_outlives_a_restart(NatsOptions::default()).await;
}

#[tokio::test]
async fn advancing_three_nodes_leaves_a_hole_that_outlives_a_restart() {
    advancing_leaves_a_hole_that_outlives_a_restart(NatsOptions::cluster()).await;
}

#[tokio::test]
async fn a_repeat_of_what_was_purged_is_never_appended_again_within_the_window() {
    let (served, log, last) = with_three_entries(NatsOptions::default()).await;
    log.advance(PARTITION, last, Seq::new(9_000_000)).await.unwrap();
    // Who has published it knows what it said.
    let repeat = publish(&log, 2).await.unwrap();
    assert_eq!((repeat.seq, repeat.duplicate), (last, true));
    // To others the server says that it is there, and does not show it: nobody can tell whether it is the same.
    let other = served.log().await;
    let outcome = publish(&other, 2).await;
    assert!(matches!(outcome, Err(PublishError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(info(&served).await.state.messages, 0);
}

async fn a_fence_holds_publishes_back_until_advancing_ends(options: NatsOptions) {
    let (served, log, last) = with_three_entries(options).await;
    let above = Seq::new(9_000_000);
    raise_fence(&served, above).await;
    match log.check().await {
        Err(error @ LogError::Unavailable { .. }) => {
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("huddle migrate"), "{source}");
        }
        outcome => panic!("{outcome:?}"),
    }
    // Several at once go as a batch.
    let mut held = Vec::new();
    for number in 3..10 {
        held.push(log.publish(event(number), Condition::None).await.unwrap());
    }
    let other = served.log().await;
    let (advanced, plain) = tokio::join!(other.advance(PARTITION, last, Seq::new(7)), publish(&other, 10));
    // What an earlier advance was for is finished. Publishes that were held back may be in the log already.
    let advanced = advanced.unwrap();
    assert!((above.get()..=above.get() + 8).contains(&advanced.get()), "{advanced}");
    let mut positions = vec![plain.unwrap().seq];
    for held in held {
        positions.push(timeout(PATIENCE, held).await.unwrap().unwrap().seq);
    }
    positions.sort();
    assert_eq!(positions, (1..=8).map(|number| Seq::new(above.get() + number)).collect::<Vec<_>>());
    assert_without_fence(&served).await;
    log.check().await.unwrap();
}

#[tokio::test]
async fn a_fence_on_one_node_holds_publishes_back_until_advancing_ends() {
    a_fence_holds_publishes_back_until_advancing_ends(NatsOptions::default()).await;
}

#[tokio::test]
async fn a_fence_on_three_nodes_holds_publishes_back_until_advancing_ends() {
    a_fence_holds_publishes_back_until_advancing_ends(NatsOptions::cluster()).await;
}

#[tokio::test]
async fn publishes_that_a_fence_outlasts_are_retryable_and_not_appended() {
    let (served, log, last) = with_three_entries(NatsOptions::default()).await;
    raise_fence(&served, Seq::new(9_000_000)).await;
    let outcome = publish(&log, 3).await;
    assert!(matches!(outcome, Err(PublishError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(log.last_seq(&team()).await.unwrap(), Some(last));
}

#[tokio::test]
async fn preparing_finishes_an_advance_that_was_killed_before_its_purge() {
    let (served, log, last) = with_three_entries(NatsOptions::default()).await;
    let above = Seq::new(9_000_000);
    raise_fence(&served, above).await;
    {
        let mut nats = served.nats.lock().await;
        nats.kill9().unwrap();
        nats.restart().await.unwrap();
    }
    served.log().await.prepare(PARTITION, last).await.unwrap();
    assert_without_fence(&served).await;
    assert_eq!(publish(&log, 3).await.unwrap().seq, above.next());
}

#[tokio::test]
async fn preparing_finishes_an_advance_that_was_killed_after_its_purge() {
    let (served, log, last) = with_three_entries(NatsOptions::default()).await;
    let above = Seq::new(9_000_000);
    raise_fence(&served, above).await;
    let stream = served.jetstream().await.get_stream(STREAM).await.unwrap();
    stream.purge().sequence(above.next().get()).await.unwrap();
    served.log().await.prepare(PARTITION, last).await.unwrap();
    assert_without_fence(&served).await;
    assert_eq!(publish(&log, 3).await.unwrap().seq, above.next());
}

#[tokio::test]
async fn preparing_lifts_a_fence_and_keeps_what_is_not_stored() {
    let (served, log, last) = with_three_entries(NatsOptions::default()).await;
    raise_fence(&served, Seq::new(9_000_000)).await;
    let stored = Seq::new(last.get() - 1);
    served.log().await.prepare(PARTITION, stored).await.unwrap();
    assert_without_fence(&served).await;
    assert_eq!(info(&served).await.state.messages, 3);
    assert_eq!(publish(&log, 3).await.unwrap().seq, last.next());
}

#[tokio::test]
async fn preparing_lifts_a_fence_and_loses_nothing_while_a_server_is_dead() {
    let (served, log, last) = with_three_entries(NatsOptions::cluster()).await;
    raise_fence(&served, Seq::new(9_000_000)).await;
    let leader = served.leader_after(None).await;
    served.nats.lock().await.node((leader + 1) % 3).kill9().unwrap();
    timeout(PATIENCE, log.prepare(PARTITION, last)).await.unwrap().unwrap();
    assert_without_fence(&served).await;
    assert_eq!(info(&served).await.state.messages, 3);
    assert_eq!(publish(&log, 3).await.unwrap().seq, last.next());
    // The dead one comes back, and the work can be done after all.
    served.nats.lock().await.restart().await.unwrap();
    let above = Seq::new(9_000_000);
    let advanced = timeout(PATIENCE, async {
        loop {
            match log.advance(PARTITION, last.next(), above).await {
                Err(LogError::Unavailable { .. }) => {}
                outcome => break outcome.unwrap(),
            }
        }
    });
    assert_eq!(advanced.await.unwrap(), above);
}

#[tokio::test]
async fn advancing_is_refused_while_a_server_is_away_and_changes_nothing() {
    let (served, log, last) = with_three_entries(NatsOptions::cluster()).await;
    let leader = served.leader_after(None).await;
    served.nats.lock().await.node((leader + 1) % 3).kill9().unwrap();
    let advanced = timeout(PATIENCE, log.advance(PARTITION, last, Seq::new(9_000_000))).await.unwrap();
    assert!(matches!(advanced, Err(LogError::Unavailable { .. })), "{advanced:?}");
    assert_without_fence(&served).await;
    assert_eq!(publish(&log, 3).await.unwrap().seq, last.next());
}
