//! Positions of every size.

use huddle_domain::{Partition, Seq, limits::SEQ_GAP_OF_NEW_LOG};

use super::{
    Fixture,
    support::{entries_up_to, next_event, numbered, partitions, publish, team, within},
};

const PARTITION: Partition = Partition::new(0);
const EVENTS: usize = 60;

/// Nothing changes where a number grows out of six digits, out of 32 bits, or out of what floating point can count.
pub async fn positions_of_every_size_are_kept<F: Fixture>() {
    for passed in [1_000_000, 1 << 32, 1 << 53] {
        let fixture = F::start(partitions(1)).await;
        let (log, other) = (fixture.handle().await, fixture.handle().await);
        let (a, b) = (team("a"), team("b"));
        // A little below the size that is passed, as far as a new log may start there.
        let shortly_before = Seq::new(passed - EVENTS as u64 / 2);
        log.prepare(PARTITION, Seq::new(shortly_before.get().saturating_sub(SEQ_GAP_OF_NEW_LOG + 1))).await.unwrap();
        within("advance", log.advance(PARTITION, Seq::ZERO, shortly_before)).await.unwrap();
        let mut feed = other.subscribe(&a).await.unwrap();
        let mut positions = Vec::new();
        let mut last_of_a = Seq::ZERO;
        for number in 0..EVENTS {
            let is_of_a = number % 3 > 0;
            let event = numbered(if is_of_a { &a } else { &b }, number);
            let seq = publish(&*log, event.clone()).await.unwrap().seq;
            assert!(seq > shortly_before);
            positions.push((seq, event));
            if is_of_a {
                let event = next_event(&mut feed).await;
                assert_eq!((event.seq, event.prev_seq), (seq, last_of_a));
                last_of_a = seq;
                assert_eq!(other.last_seq(&a).await.unwrap(), Some(seq));
            }
        }
        let last = positions[EVENTS - 1].0;
        assert!(last.get() > passed);
        for after in [0, EVENTS / 2 - 3, EVENTS / 2, EVENTS - 2] {
            let entries = entries_up_to(&*other, PARTITION, positions[after].0, last).await;
            assert_eq!(entries, positions[after + 1..], "after {}", positions[after].0);
        }
        for (seq, event) in &positions {
            let repeat = publish(&*other, event.clone()).await.unwrap();
            assert_eq!((repeat.seq, repeat.duplicate), (*seq, true));
        }
    }
}
