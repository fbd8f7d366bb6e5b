//! A log that ends before positions that were assigned: nothing is appended to it, nothing is read from it, and whoever
//! looks is told. As soon as it reaches as far again, it is taken for whole.

use std::time::Duration;

use futures_util::StreamExt as _;
use huddle_devstack::NatsOptions;
use huddle_domain::{ClientId, EventKind, NewEvent, Partition, Partitions, Seq, TeamId, UserId};
use huddle_log::{Condition, Log, LogError, PublishError, Published, StoredMark};
use huddle_log_nats::NatsLog;
use tokio::time::timeout;

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);
const PATIENCE: Duration = Duration::from_secs(40);

async fn publish(log: &NatsLog, number: usize) -> Result<Published, PublishError> {
    let event = NewEvent {
        team: TeamId::parse("a").unwrap(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&number.to_string()).unwrap(),
        kind: EventKind::TeamArchived,
    };
    timeout(PATIENCE, async { log.publish(event, Condition::None).await?.await }).await.unwrap()
}

/// Has `log` hear that the partition is stored up to `seq`.
async fn hear(log: &NatsLog, seq: Seq) {
    let mut marks = log.stored_marks().await.unwrap();
    log.announce_stored(StoredMark { partition: PARTITION, seq }).await.unwrap();
    let heard = timeout(PATIENCE, marks.next()).await.unwrap().unwrap();
    assert_eq!(heard.seq, seq);
}

async fn restart(served: &Served) {
    let mut nats = served.nats.lock().await;
    nats.kill9().unwrap();
    nats.restart().await.unwrap();
}

#[tokio::test]
async fn a_log_without_its_end_takes_nothing_until_it_reaches_as_far_as_is_stored() {
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let last = publish(&log, 0).await.unwrap().seq;
    let stored = Seq::new(last.get() + 10);
    hear(&log, stored).await;
    restart(&served).await;

    assert!(matches!(publish(&log, 1).await, Err(PublishError::Unavailable { .. })));
    assert!(matches!(log.check().await, Err(LogError::Unavailable { .. })));
    assert!(matches!(log.read(PARTITION, stored).await, Err(LogError::Unavailable { .. })));
    let end = served.jetstream().await.get_stream("HUDDLE_LOG_0").await.unwrap().cached_info().state.last_sequence;
    assert_eq!(end, last.get(), "something was appended");

    // The store was not the one of this log.
    hear(&log, last).await;
    log.check().await.unwrap();
    let next = publish(&log, 1).await.unwrap().seq;
    assert_eq!(next, last.next());
}

#[tokio::test]
async fn a_position_that_is_stored_already_is_not_acknowledged() {
    let served = Served::start(NatsOptions::default(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let last = publish(&log, 0).await.unwrap().seq;
    // Nobody has noticed a restart: what gives it away is the position.
    hear(&log, last.next()).await;
    assert!(matches!(publish(&log, 1).await, Err(PublishError::Unavailable { .. })));
}
