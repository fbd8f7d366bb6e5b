//! One owner per partition, and what one owner leaves to the next.

use std::time::Duration;

use huddle_domain::{Partition, Seq};
use tokio::{task::JoinSet, time::timeout};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, P1, batch, named, posted, store_all, team},
};

/// However many ask at the same time.
pub async fn one_of_many_claimants_wins<F: Fixture>(fixture: &F) {
    const CLAIMANTS: usize = 8;
    let mut claims = JoinSet::new();
    for _ in 0..CLAIMANTS {
        let store = fixture.open().await;
        claims.spawn(async move { store.claim(P0).await.unwrap() });
    }
    let outcomes = claims.join_all().await;
    assert_eq!(outcomes.iter().flatten().count(), 1);
    let late = fixture.open().await;
    assert!(late.claim(P0).await.unwrap().is_none());
    // Not even the process that has it gets it twice.
    drop(outcomes);
    let _writer = claim(&*late, P0).await;
    assert!(late.claim(P0).await.unwrap().is_none());
}

/// Dropping the writer is all it takes.
pub async fn a_dropped_writer_frees_its_claim<F: Fixture>(fixture: &F) {
    let (first, second) = (fixture.open().await, fixture.open().await);
    let mut writer = claim(&*first, P0).await;
    store_all(&mut *writer, [posted("a", 1)]).await;
    assert!(second.claim(P0).await.unwrap().is_none());
    drop(writer);
    let mut writer = claim(&*second, P0).await;
    store_all(&mut *writer, [posted("a", 2)]).await;
    assert!(first.claim(P0).await.unwrap().is_none());
}

/// A claim to one is none to another, and each has a position of its own.
pub async fn partitions_are_claimed_one_by_one<F: Fixture>(fixture: &F) {
    let (first, second) = (fixture.open().await, fixture.open().await);
    let mut of_p0 = claim(&*first, P0).await;
    let mut of_p1 = claim(&*second, P1).await;
    store_all(&mut *of_p0, [posted("a", 7)]).await;
    store_all(&mut *of_p1, [posted("b", 3)]).await;
    assert_eq!(first.progress(P0).await.unwrap(), Seq::new(7));
    assert_eq!(first.progress(P1).await.unwrap(), Seq::new(3));
}

/// The next owner starts at what is committed.
pub async fn a_writer_goes_on_where_the_last_one_stopped<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for round in 0..3 {
        let mut writer = claim(&*store, P0).await;
        assert_eq!(writer.progress(), Seq::new(round * 10));
        store_all(&mut *writer, (1..=10).map(|number| posted("a", round * 10 + number))).await;
    }
    assert_eq!(store.list_events(&team("a"), Seq::ZERO, 100, None).await.unwrap().items.len(), 30);
}

/// A quiet owner finds out that it still is one.
pub async fn an_idle_claim_is_confirmed<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    writer.confirm().await.unwrap();
    store_all(&mut *writer, [posted("a", 5)]).await;
    for _ in 0..3 {
        writer.confirm().await.unwrap();
    }
    assert_eq!(writer.progress(), Seq::new(5));
}

/// What is committed is what every process reads; a partition that nobody ever claimed stands at zero.
pub async fn progress_is_seen_by_everyone<F: Fixture>(fixture: &F) {
    let (first, second) = (fixture.open().await, fixture.open().await);
    second.check().await.unwrap();
    assert_eq!(second.progress(P0).await.unwrap(), Seq::ZERO);
    let mut writer = claim(&*first, P0).await;
    assert_eq!(second.progress(P0).await.unwrap(), Seq::ZERO);
    store_all(&mut *writer, [posted("a", 9)]).await;
    assert_eq!(second.progress(P0).await.unwrap(), Seq::new(9));
    assert_eq!(second.progress(P1).await.unwrap(), Seq::ZERO);
}

/// Writers of different partitions do not wait for each other's batches to end, name the same users in any order, and
/// lose nothing.
pub async fn writers_of_different_partitions_work_at_the_same_time<F: Fixture>(fixture: &F) {
    const WRITERS: u16 = 4;
    const BATCHES: u64 = 20;
    const BATCH: u64 = 50;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = fixture.open().await;
        writers.spawn(async move {
            let mut writer = claim(&*store, Partition::new(number)).await;
            let team_id = format!("t{number}");
            for first in (1..=BATCHES * BATCH).step_by(usize::try_from(BATCH).unwrap()) {
                let run = (first..first + BATCH).map(|seq| {
                    let member = if number % 2 == 0 { seq % BATCH } else { BATCH - seq % BATCH };
                    if seq % 3 == 0 {
                        named(&team_id, seq, &format!("u{member}"), "Name")
                    } else {
                        posted(&team_id, seq)
                    }
                });
                store_all(&mut *writer, run).await;
            }
        });
    }
    writers.join_all().await;
    let store = fixture.open().await;
    for number in 0..WRITERS {
        assert_eq!(store.progress(Partition::new(number)).await.unwrap(), Seq::new(BATCHES * BATCH));
        let events = store.list_events(&team(&format!("t{number}")), Seq::ZERO, 100_000, None).await.unwrap().items;
        assert!(events.iter().map(|event| event.seq.get()).eq(1..=BATCHES * BATCH), "{}", events.len());
    }
}

/// An owner that stops waiting for its batch does not know whether it happened; the next one does, and no batch ever
/// happens by half.
pub async fn a_batch_that_is_cut_short_happens_whole_or_not_at_all<F: Fixture>(fixture: &F) {
    const BATCH: u64 = 500;
    let store = fixture.open().await;
    let mut position = 0;
    for patience_us in [0, 50, 200, 1_000, 3_000, 10_000, 30_000] {
        let mut writer = claim(&*store, P0).await;
        let events = (1..=BATCH).map(|number| posted("a", position + number));
        // Whether it was cut short or not is not what this is about.
        let _ = timeout(Duration::from_micros(patience_us), writer.apply(batch(events))).await;
        drop(writer);

        let next = claim(&*store, P0).await;
        let progress = next.progress().get();
        assert!([position, position + BATCH].contains(&progress), "{progress} after {position}");
        position = progress;
        let stored = store.list_events(&team("a"), Seq::ZERO, 100_000, None).await.unwrap().items;
        assert!(stored.iter().map(|event| event.seq.get()).eq(1..=position), "{} at {position}", stored.len());
    }
}
