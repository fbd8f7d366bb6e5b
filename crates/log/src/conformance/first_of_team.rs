//! A team is created once.

use futures_util::future;
use huddle_domain::{EventKind, Name, NewEvent, Partition, Seq, UserId};

use super::{
    Fixture,
    support::{event_of, next_entry, post, prepared, publish, publish_first, team},
};
use crate::{PublishError, Published};

fn creation(team_id: &str, client_id: &str, name: &str) -> NewEvent {
    let owner = UserId::parse("ann").unwrap();
    let kind = EventKind::TeamCreated { name: Name::parse(name).unwrap(), owner };
    NewEvent { kind, ..post(&team(team_id), "ann", client_id, "-") }
}

/// Of many creators at once, over two processes, exactly one appends.
pub async fn exactly_one_of_many_first_events_wins<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let publishes = (0..20).map(|number| {
        let log = if number % 2 == 0 { &log } else { &other };
        publish_first(&**log, creation("a", &format!("c{number}"), "A"))
    });
    let outcomes = future::join_all(publishes).await;
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Published { duplicate: false, .. }))).count();
    let losers = outcomes.iter().filter(|outcome| matches!(outcome, Err(PublishError::NotFirst))).count();
    assert_eq!((winners, losers), (1, 19), "{outcomes:?}");
    // Another team is not concerned, and neither are later events of this one.
    assert!(!publish_first(&*log, creation("b", "c0", "B")).await.unwrap().duplicate);
    let last = publish(&*log, post(&team("a"), "ann", "x", "hello")).await.unwrap();
    let mut reader = log.read(Partition::new(0), Seq::ZERO).await.unwrap();
    let mut count = 1;
    loop {
        let entry = next_entry(&mut reader).await;
        if entry.seq == last.seq {
            break;
        }
        count += usize::from(event_of(entry).team == team("a"));
    }
    assert_eq!(count, 2);
}

/// The very same first event again is a duplicate; another one is not first, and other content is a conflict or not first.
pub async fn a_repeated_first_event_is_a_duplicate<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let first = publish_first(&*log, creation("a", "c", "A")).await.unwrap();
    publish(&*log, post(&team("a"), "ann", "x", "hello")).await.unwrap();
    for log in [&log, &other] {
        let repeat = publish_first(&**log, creation("a", "c", "A")).await.unwrap();
        assert_eq!((repeat.seq, repeat.duplicate), (first.seq, true));
        let another = publish_first(&**log, creation("a", "d", "A")).await;
        assert!(matches!(another, Err(PublishError::NotFirst)), "{another:?}");
        let changed = publish_first(&**log, creation("a", "c", "B")).await;
        assert!(matches!(changed, Err(PublishError::Conflict { .. } | PublishError::NotFirst)), "{changed:?}");
    }
    let repeats = (0..20).map(|_| publish_first(&*other, creation("b", "c", "B")));
    let published = future::try_join_all(repeats).await.unwrap();
    assert_eq!(published.iter().filter(|one| !one.duplicate).count(), 1);
}
