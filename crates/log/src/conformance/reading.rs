//! Reading a partition.

use huddle_domain::{Partition, Seq};

use super::{
    Fixture,
    support::{event_of, next_entry, numbered, prepared, publish, team, within},
};
use crate::{Condition, EntryContent};

const PARTITION: Partition = Partition::new(0);

/// Entries after a position come ascending, each once, without holes.
pub async fn entries_are_read_from_any_position<F: Fixture>() {
    const EVENTS: usize = 1_200;
    let (fixture, log) = prepared::<F>(1).await;
    let a = team("a");
    let mut pending = Vec::new();
    for number in 0..EVENTS {
        pending.push(log.publish(numbered(&a, number), Condition::None).await.unwrap());
    }
    let mut positions = Vec::new();
    for pending in pending {
        positions.push(within("publish", pending).await.unwrap().seq);
    }
    let other = fixture.handle().await;
    for (after, first) in
        [(Seq::ZERO, 0), (positions[0], 1), (positions[700], 701), (positions[EVENTS - 2], EVENTS - 1)]
    {
        let mut reader = other.read(PARTITION, after).await.unwrap();
        for (number, seq) in positions.iter().enumerate().skip(first) {
            let entry = next_entry(&mut reader).await;
            assert_eq!(entry.seq, *seq);
            assert_eq!(event_of(entry), numbered(&a, number));
        }
    }
    assert!(positions.windows(2).all(|pair| pair[0].next() == pair[1]));
}

/// A reader that has read everything waits, and goes on when there is more.
pub async fn entries_that_come_while_reading_are_read<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut from_start = other.read(PARTITION, Seq::ZERO).await.unwrap();
    let first = publish(&*log, numbered(&a, 0)).await.unwrap();
    assert_eq!(next_entry(&mut from_start).await.seq, first.seq);
    // At the very end of the log.
    let mut from_end = other.read(PARTITION, first.seq).await.unwrap();
    for number in 1..100 {
        let published = publish(&*log, numbered(&a, number)).await.unwrap();
        for reader in [&mut from_start, &mut from_end] {
            let entry = next_entry(reader).await;
            assert_eq!(entry.seq, published.seq);
            assert_eq!(event_of(entry), numbered(&a, number));
        }
    }
}

/// What is no event does not stop a reader: it is handed out with its bytes.
pub async fn undecodable_entries_are_handed_out<F: Fixture>() {
    const NO_EVENT: &[u8] = b"\xff\xff no protobuf";
    let (fixture, log) = prepared::<F>(1).await;
    let a = team("a");
    let before = publish(&*log, numbered(&a, 0)).await.unwrap();
    if !fixture.append_raw(&a, NO_EVENT).await {
        return;
    }
    let after = publish(&*log, numbered(&a, 1)).await.unwrap();
    let mut reader = log.read(PARTITION, before.seq).await.unwrap();
    let entry = next_entry(&mut reader).await;
    match entry.content {
        EntryContent::Undecodable { team, payload, reason } => {
            assert_eq!((team, payload.as_slice()), (Some(a), NO_EVENT));
            assert!(!reason.is_empty());
        }
        EntryContent::Event(event) => panic!("an event: {event:?}"),
    }
    assert_eq!(next_entry(&mut reader).await.seq, after.seq);
}
