//! A retry never duplicates, and nobody's key suppresses another's event.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, future, stream};
use huddle_domain::{NewEvent, Partition, Seq};

use super::{
    Fixture,
    support::{event_of, next_entry, numbered, post, prepared, publish, publish_until_settled, tagged, team, within},
};
use crate::{Condition, Log, PublishError};

/// The same event again, through this handle or another, resolves to the first position.
pub async fn repeats_get_the_first_position<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let event = numbered(&team("a"), 1);
    let first = publish(&*log, event.clone()).await.unwrap();
    assert!(!first.duplicate);
    publish(&*log, numbered(&team("a"), 2)).await.unwrap();
    for log in [&log, &other, &other] {
        let repeat = publish(&**log, event.clone()).await.unwrap();
        assert_eq!((repeat.seq, repeat.duplicate), (first.seq, true));
    }
}

/// Fifty at once over two processes: one event, one position, forty-nine duplicates.
pub async fn concurrent_repeats_append_once<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    for round in 0..4 {
        let attempts = (0..50).map(|number| {
            let log = if number % 2 == 0 { &log } else { &other };
            publish(&**log, numbered(&a, round))
        });
        let published: Vec<_> = future::try_join_all(attempts).await.unwrap();
        assert!(published.iter().all(|one| one.seq == published[0].seq), "{published:?}");
        assert_eq!(published.iter().filter(|one| !one.duplicate).count(), 1);
    }
    assert_eq!(positions_up_to(&*log, &numbered(&a, 4)).await.len(), 5);
}

/// Repeats that are in flight together with many other events disturb neither these nor their order.
pub async fn repeats_among_others_append_once<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    // Numbers 0..100 from one process, then all numbers twice from the other: some keys are in the log already, some
    // meet themselves on the way.
    for number in 0..100 {
        publish(&*log, numbered(&a, number * 3)).await.unwrap();
    }
    let mut pending = Vec::new();
    for number in (0..300).chain(0..300) {
        pending.push((number, other.publish(numbered(&a, number), Condition::None).await.unwrap()));
    }
    let mut positions = HashMap::new();
    let mut last_fresh = Seq::ZERO;
    for (place, (number, pending)) in pending.into_iter().enumerate() {
        let published = within("publish", pending).await.unwrap();
        assert_eq!(published.duplicate, number % 3 == 0 || place >= 300, "number {number}, place {place}");
        assert_eq!(*positions.entry(number).or_insert(published.seq), published.seq);
        if !published.duplicate {
            assert!(published.seq > last_fresh);
            last_fresh = published.seq;
        }
    }
    assert_eq!(positions_up_to(&*log, &numbered(&a, 300)).await.len(), 301);
}

/// The key of an event with other content is a conflict, which names the position of the event that has the key.
pub async fn other_content_under_the_same_key_is_a_conflict<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let first = publish(&*log, post(&a, "ann", "x", "one")).await.unwrap();
    for log in [&log, &other] {
        match publish(&**log, post(&a, "ann", "x", "two")).await {
            Err(PublishError::Conflict { seq }) => assert_eq!(seq, first.seq),
            outcome => panic!("no conflict: {outcome:?}"),
        }
    }
    // Whom it mentions and what it is about are content.
    let tagged = |users: &[&str], entity: Option<&str>| tagged(post(&a, "ann", "z", "hey"), users, entity);
    let first = publish(&*log, tagged(&["bob", "carl"], Some("7"))).await.unwrap();
    assert!(publish(&*other, tagged(&["bob", "carl"], Some("7"))).await.unwrap().duplicate);
    for changed in [tagged(&[], None), tagged(&["bob"], Some("7")), tagged(&["bob", "carl"], Some("8"))] {
        match publish(&*other, changed.clone()).await {
            Err(PublishError::Conflict { seq }) => assert_eq!(seq, first.seq),
            outcome => panic!("no conflict with {changed:?}: {outcome:?}"),
        }
    }
    // At once: one content wins, the other loses, whichever it is.
    let attempts = (0..40).map(|number| {
        let log = if number % 2 == 0 { &log } else { &other };
        publish(&**log, post(&a, "ann", "y", if number % 4 < 2 { "one" } else { "two" }))
    });
    let outcomes = future::join_all(attempts).await;
    let winners = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let losers = outcomes.iter().filter(|outcome| matches!(outcome, Err(PublishError::Conflict { .. }))).count();
    assert_eq!((winners, losers), (20, 20), "{outcomes:?}");
    assert_eq!(positions_up_to(&*log, &numbered(&a, 1)).await.len(), 4);
}

/// The same client id of another user, or in another team, is another key.
pub async fn keys_of_others_never_collide<F: Fixture>() {
    let (_fixture, log) = prepared::<F>(1).await;
    let (a, b) = (team("a"), team("b"));
    let events = [
        post(&a, "ann", "x", "one"),
        post(&a, "bob", "x", "one"),
        post(&b, "ann", "x", "one"),
        post(&b, "bob", "x", "1"),
    ];
    let attempts = events.into_iter().map(|event| publish(&*log, event));
    let published = future::try_join_all(attempts).await.unwrap();
    assert!(published.iter().all(|one| !one.duplicate), "{published:?}");
}

/// The log itself knows the keys: an abrupt end does not make it forget them.
pub async fn repeats_after_a_restart_get_the_first_position<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let a = team("a");
    let handle = &log;
    let pending = stream::iter(0..200)
        .map(|number| {
            let event = numbered(&a, number);
            async move { (number, publish(&**handle, event).await.unwrap().seq) }
        })
        .buffered(64);
    let positions: Vec<_> = pending.collect().await;
    fixture.kill_and_restart().await;
    let other: Arc<dyn Log> = fixture.handle().await;
    for log in [&log, &other] {
        for (number, seq) in positions.iter().step_by(20) {
            let repeat = publish_until_settled(&**log, numbered(&a, *number)).await.unwrap();
            assert_eq!((repeat.seq, repeat.duplicate), (*seq, true));
        }
    }
}

/// Appends `end` and returns all positions of partition 0 up to it.
async fn positions_up_to(log: &dyn Log, end: &NewEvent) -> Vec<Seq> {
    let end_seq = publish(log, end.clone()).await.unwrap().seq;
    let mut reader = log.read(Partition::new(0), Seq::ZERO).await.unwrap();
    let mut positions = Vec::new();
    loop {
        let entry = next_entry(&mut reader).await;
        positions.push(entry.seq);
        if entry.seq == end_seq {
            assert_eq!(event_of(entry), *end);
            return positions;
        }
    }
}
