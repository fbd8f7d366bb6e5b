//! Partitions are made with care.

use huddle_domain::{Partition, Seq, limits::SEQ_GAP_OF_NEW_LOG};

use super::{
    Fixture,
    support::{numbered, partitions, publish, team, within},
};
use crate::LogError;

const PARTITION: Partition = Partition::new(0);

/// Before it is prepared a partition is missing for everybody, and says so.
pub async fn a_partition_is_missing_until_prepared<F: Fixture>() {
    let fixture = F::start(partitions(2)).await;
    let log = fixture.handle().await;
    let missing =
        |outcome: Result<(), LogError>| assert!(matches!(outcome, Err(LogError::Missing { .. })), "{outcome:?}");
    missing(within("check", log.check()).await);
    missing(within("read", log.read(PARTITION, Seq::ZERO)).await.map(drop));
    missing(within("last_seq", log.last_seq(&team("a"))).await.map(drop));
    missing(within("events_between", log.events_between(&team("a"), Seq::ZERO, Seq::new(1))).await.map(drop));
    missing(within("subscribe", log.subscribe(&team("a"))).await.map(drop));
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    missing(within("check", log.check()).await);
    log.prepare(Partition::new(1), Seq::ZERO).await.unwrap();
    within("check", log.check()).await.unwrap();
}

/// A new partition starts so far above what is stored that no position is ever used twice.
pub async fn a_new_log_starts_far_above_what_is_stored<F: Fixture>() {
    let fixture = F::start(partitions(1)).await;
    let log = fixture.handle().await;
    let highest_stored = Seq::new(123_456_789);
    log.prepare(PARTITION, highest_stored).await.unwrap();
    let first = publish(&*log, numbered(&team("a"), 0)).await.unwrap();
    assert!(first.seq.get() > highest_stored.get() + SEQ_GAP_OF_NEW_LOG, "{}", first.seq);
}

/// Several processes may prepare at the same time, and again later.
pub async fn preparing_twice_and_at_once_is_harmless<F: Fixture>() {
    let fixture = F::start(partitions(1)).await;
    let (log, other) = (fixture.handle().await, fixture.handle().await);
    let prepared = within("prepare", async {
        tokio::join!(
            log.prepare(PARTITION, Seq::new(7)),
            other.prepare(PARTITION, Seq::new(9)),
            other.prepare(PARTITION, Seq::ZERO)
        )
    });
    assert!(matches!(prepared.await, (Ok(()), Ok(()), Ok(()))));
    let first = publish(&*log, numbered(&team("a"), 0)).await.unwrap();
    other.prepare(PARTITION, first.seq).await.unwrap();
    let second = publish(&*other, numbered(&team("a"), 1)).await.unwrap();
    assert_eq!(second.seq, first.seq.next());
}

/// A log that ends before what is stored is not the store's: nothing may be appended to it.
pub async fn a_log_behind_the_store_is_refused<F: Fixture>() {
    let fixture = F::start(partitions(1)).await;
    let log = fixture.handle().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let last = publish(&*log, numbered(&team("a"), 0)).await.unwrap();
    log.prepare(PARTITION, last.seq).await.unwrap();
    match log.prepare(PARTITION, last.seq.next()).await {
        Err(LogError::Unsuitable { problem, remedy }) => assert!(!problem.is_empty() && !remedy.is_empty()),
        outcome => panic!("{outcome:?}"),
    }
}
