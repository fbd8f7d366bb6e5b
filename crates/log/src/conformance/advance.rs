//! Advancing leaves a hole, and nothing else changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future;
use huddle_domain::{NewEvent, Partition, Seq};
use tokio::{task::yield_now, time::sleep};

use super::{
    Fixture,
    support::{
        entries_up_to, event_of, next_entry, next_event, numbered, partitions, post, prepared, publish,
        publish_until_settled, team, within,
    },
};
use crate::{Log, LogError, PublishError};

const PARTITION: Partition = Partition::new(0);

/// What comes after advancing lies above, for writers, readers and followers alike, and what came before is not changed.
pub async fn events_after_advancing_lie_above<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut last = Seq::ZERO;
    for number in 0..10 {
        last = publish(&*log, numbered(&a, number)).await.unwrap().seq;
    }
    let mut reader = other.read(PARTITION, last).await.unwrap();
    let mut feed = other.subscribe(&a).await.unwrap();
    let above = Seq::new(last.get() + 5_000_000_000);
    let advanced = within("advance", log.advance(PARTITION, last, above)).await.unwrap();
    assert!(advanced >= above, "{advanced}");

    let first = publish(&*other, numbered(&a, 10)).await.unwrap();
    assert!(first.seq > advanced && !first.duplicate, "{first:?}");
    let entry = next_entry(&mut reader).await;
    assert_eq!((entry.seq, event_of(entry)), (first.seq, numbered(&a, 10)));
    let event = next_event(&mut feed).await;
    assert_eq!(event.seq, first.seq);
    assert!(event.prev_seq == last || event.prev_seq == Seq::ZERO, "{}", event.prev_seq);
    assert_eq!(log.last_seq(&a).await.unwrap(), Some(first.seq));
    within("check", log.check()).await.unwrap();
    log.prepare(PARTITION, advanced).await.unwrap();

    // Positions stay used after an abrupt end.
    fixture.kill_and_restart().await;
    let second = publish_until_settled(&*log, numbered(&a, 11)).await.unwrap();
    assert!(second.seq > first.seq);
    let repeat = publish_until_settled(&*other, numbered(&a, 10)).await.unwrap();
    assert_eq!((repeat.seq, repeat.duplicate), (first.seq, true));
}

/// A position that the log is past already changes nothing; neither does the same once more.
pub async fn advancing_to_where_the_log_is_changes_nothing<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let above = Seq::new(7_000_000);
    let mut advanced = Vec::new();
    for log in [&log, &other, &log] {
        advanced.push(within("advance", log.advance(PARTITION, Seq::ZERO, above)).await.unwrap());
    }
    assert!(advanced[0] >= above && advanced.iter().all(|again| *again == advanced[0]), "{advanced:?}");
    let mut last = publish(&*log, numbered(&a, 0)).await.unwrap().seq;
    assert!(last > advanced[0]);
    for (number, position) in [(1, Seq::ZERO), (2, above), (3, last), (4, Seq::new(last.get() - 1))] {
        // Nothing is stored, and nothing has to be.
        let advanced = within("advance", other.advance(PARTITION, Seq::ZERO, position)).await.unwrap();
        assert!(advanced >= position && advanced <= last, "{advanced}");
        let next = publish(&*log, numbered(&a, number)).await.unwrap().seq;
        assert_eq!(next, last.next());
        last = next;
    }
    let entries = entries_up_to(&*log, PARTITION, Seq::ZERO, last).await;
    assert_eq!(entries.len(), 5);
}

/// What does not exist is not advanced.
pub async fn a_missing_partition_is_not_advanced<F: Fixture>() {
    let fixture = F::start(partitions(2)).await;
    let log = fixture.handle().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let outcome = within("advance", log.advance(Partition::new(1), Seq::ZERO, Seq::new(7_000_000))).await;
    assert!(matches!(outcome, Err(LogError::Missing { .. })), "{outcome:?}");
}

/// Entries that are not stored are still there after advancing, or it is refused and changes nothing.
pub async fn unstored_entries_outlive_advancing<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(publish(&*log, numbered(&a, number)).await.unwrap().seq);
    }
    let (stored, last) = (positions[4], positions[9]);
    let above = Seq::new(last.get() + 1_000_000);
    let advanced = within("advance", other.advance(PARTITION, stored, above)).await;
    let end = publish(&*log, numbered(&a, 10)).await.unwrap().seq;
    positions.push(end);
    match advanced {
        Ok(advanced) => assert!(advanced >= above && end > advanced),
        Err(LogError::Unsuitable { problem, remedy }) => {
            assert!(!problem.is_empty() && !remedy.is_empty());
            assert_eq!(end, last.next());
        }
        Err(error) => panic!("{error}"),
    }
    let entries = entries_up_to(&*other, PARTITION, stored, end).await;
    let expected: Vec<_> = (5..=10).map(|number| (positions[number], numbered(&a, number))).collect();
    assert_eq!(entries, expected);
}

/// A retry of an event from before gets the event's position, or nothing: another position never.
pub async fn repeats_over_advancing_never_get_another_position<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut positions = Vec::new();
    for number in 0..5 {
        positions.push(publish(&*log, numbered(&a, number)).await.unwrap().seq);
    }
    let advanced = within("advance", log.advance(PARTITION, positions[4], Seq::new(8_000_000))).await.unwrap();
    for log in [&log, &other] {
        for (number, seq) in positions.iter().enumerate() {
            match publish(&**log, numbered(&a, number)).await {
                Ok(repeat) => assert_eq!((repeat.seq, repeat.duplicate), (*seq, true)),
                Err(PublishError::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let end = publish(&*log, numbered(&a, 5)).await.unwrap().seq;
    let entries = entries_up_to(&*log, PARTITION, advanced, end).await;
    assert_eq!(entries, [(end, numbered(&a, 5))]);
}

/// Writers need not stop for an import: whatever is acknowledged while the log is advanced again and again stands at its
/// position once, whoever reads it afterwards. The writers begin at all the moments that an advance has.
pub async fn advancing_under_writers_loses_and_doubles_nothing<F: Fixture>() {
    /// So many moments, evenly over a third more than the time that an advance takes.
    const MOMENTS: u32 = 48;
    const SUCCESSES_MIN: u32 = 4;
    const TIME: Duration = Duration::from_secs(3);
    const STEP: u64 = 10_000;

    let (fixture, log) = prepared::<F>(1).await;
    let handles = [Arc::clone(&log), fixture.handle().await];
    let teams = [team("a"), team("b")];
    let begin = Instant::now();
    let mut position = within("advance", log.advance(PARTITION, Seq::ZERO, Seq::new(9_000_000))).await.unwrap();
    let usual = begin.elapsed();
    let (mut successes, mut attempts) = (0, 0);
    while successes < SUCCESSES_MIN || begin.elapsed() < TIME {
        attempts += 1;
        assert!(attempts < 2 * MOMENTS || successes > 0, "the log is never advanced");
        let stored = position;
        let above = Seq::new(stored.get() + STEP);
        // Far from the moment before.
        let delay = usual * (attempts * 29 % MOMENTS) / (MOMENTS * 3 / 4);
        let moment = Instant::now() + delay;
        let done = AtomicBool::new(false);
        let advancing = async {
            let outcome = within("advance", log.advance(PARTITION, stored, above)).await;
            done.store(true, Ordering::Relaxed);
            outcome
        };
        let writers = handles.iter().zip(&teams).map(|(log, team)| {
            let done = &done;
            async move {
                // No timer is as fine.
                while Instant::now() < moment {
                    yield_now().await;
                }
                let mut written = Vec::new();
                while written.is_empty() || !done.load(Ordering::Relaxed) {
                    let event = post(team, "ann", &format!("n{attempts}-{}", written.len()), "hello");
                    written.push((publish_while_refused(&**log, event.clone()).await, event));
                }
                written
            }
        });
        let (outcome, written) = tokio::join!(advancing, future::join_all(writers));
        let end = post(&teams[0], "ann", &format!("end-{attempts}"), "hello");
        position = publish_while_refused(&*log, end.clone()).await;
        let mut acknowledged: Vec<_> = written.into_iter().flatten().chain([(position, end)]).collect();
        acknowledged.sort_by_key(|(seq, _)| *seq);
        let entries = entries_up_to(&*handles[1], PARTITION, stored, position).await;
        assert_eq!(entries, acknowledged, "after {outcome:?}");
        match outcome {
            Ok(advanced) => {
                assert!(advanced >= above && position > advanced, "{advanced}, then {position}");
                successes += 1;
            }
            Err(LogError::Unsuitable { .. } | LogError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn publish_while_refused(log: &dyn Log, event: NewEvent) -> Seq {
    within("a publish that is not refused", async {
        loop {
            match publish(log, event.clone()).await {
                Ok(published) => return published.seq,
                Err(PublishError::Full | PublishError::Unavailable { .. }) => sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}
