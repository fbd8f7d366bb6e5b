//! The live feed misses nothing, and agrees with the log.

use std::sync::atomic::{AtomicBool, Ordering};

use huddle_domain::{Partition, Seq};

use super::{
    Fixture,
    support::{event_of, next_entry, next_event, next_item, numbered, prepared, publish, team, within},
};
use crate::{Condition, LiveItem};

/// An event that is acknowledged is covered by the team's last position from then on, whoever asks.
pub async fn last_seq_is_not_behind_an_acknowledged_append<F: Fixture>() {
    let (fixture, log) = prepared::<F>(2).await;
    let other = fixture.handle().await;
    let (a, empty) = (team("a"), team("empty"));
    assert_eq!(other.last_seq(&a).await.unwrap(), None);
    for number in 0..50 {
        let published = publish(&*log, numbered(&a, number)).await.unwrap();
        assert_eq!(other.last_seq(&a).await.unwrap(), Some(published.seq));
    }
    assert_eq!(other.last_seq(&empty).await.unwrap(), None);
}

/// Whatever is not covered by a last position asked after subscribing is on the feed.
pub async fn nothing_is_missed_between_subscribing_and_asking_for_the_last_seq<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let done = AtomicBool::new(false);
    let publishing = async {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            publish(&*log, numbered(&a, number)).await.unwrap();
            number += 1;
        }
    };
    let subscribing = async {
        for _ in 0..50 {
            let mut feed = other.subscribe(&a).await.unwrap();
            let last = other.last_seq(&a).await.unwrap().unwrap_or(Seq::ZERO);
            // The first event beyond is the very next one of the team.
            loop {
                match next_item(&mut feed).await {
                    LiveItem::Interrupted => break,
                    LiveItem::Event(event) if event.seq > last => {
                        assert!(event.prev_seq <= last, "{} follows {}, asked: {last}", event.seq, event.prev_seq);
                        break;
                    }
                    LiveItem::Event(_) => {}
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    within("all subscriptions", async { tokio::join!(publishing, subscribing) }).await;
}

/// Position, time and content are the same for who follows and for who reads.
pub async fn feeds_and_reader_agree_event_for_event<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut feed = other.subscribe(&a).await.unwrap();
    let mut reader = other.read(Partition::new(0), Seq::ZERO).await.unwrap();
    let mut pending = Vec::new();
    for number in 0..200 {
        pending.push(log.publish(numbered(&a, number), Condition::None).await.unwrap());
    }
    for (number, pending) in pending.into_iter().enumerate() {
        let published = within("publish", pending).await.unwrap();
        let event = next_event(&mut feed).await;
        let entry = next_entry(&mut reader).await;
        assert_eq!((event.seq, entry.seq), (published.seq, published.seq));
        assert_eq!(event.time, entry.time);
        assert!(event.is_same_send(&numbered(&a, number)));
        assert_eq!(event_of(entry), numbered(&a, number));
    }
}
