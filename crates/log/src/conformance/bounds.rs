//! Ids and bodies at the ends of what the domain allows, and a log without room.

use std::collections::HashSet;

use futures_util::future;
use huddle_domain::{
    EventKind, Name, NewEvent, Partition, Partitions, Seq, UserId,
    limits::{BODY_CHARACTERS_MAX, ID_LENGTH_MAX, NAME_CHARACTERS_MAX},
};

use super::{
    Fixture,
    support::{entries_up_to, next_event, numbered, post, prepared, publish, publish_until_settled, team, within},
};
use crate::{PublishError, Published};

const PARTITION: Partition = Partition::new(0);
/// Each character that an id may have, once: as it happens the longest id.
const EVERY_CHARACTER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// A log that was started small is full before so many of the largest messages.
const LARGE_MESSAGES_MAX: usize = 2_000;

/// The largest message: characters of four bytes.
fn large(number: usize) -> NewEvent {
    post(&team("a"), "ann", &format!("n{number}"), &"\u{1d11e}".repeat(BODY_CHARACTERS_MAX))
}

/// Every character and every length of ids is kept apart: in keys, in feeds, in last positions.
pub async fn ids_of_every_character_and_length_are_kept_apart<F: Fixture>() {
    assert_eq!(EVERY_CHARACTER.len(), ID_LENGTH_MAX);
    let reversed: String = EVERY_CHARACTER.chars().rev().collect();
    let longest_alike = ["x".repeat(ID_LENGTH_MAX), "x".repeat(ID_LENGTH_MAX - 1), "x".to_owned()];
    let (fixture, log) = prepared::<F>(3).await;
    let other = fixture.handle().await;
    let mut events = Vec::new();
    let mut add = |team_id: &str, sender: &str, client_id: &str| {
        events.push(post(&team(team_id), sender, client_id, "hello"));
    };
    add(EVERY_CHARACTER, EVERY_CHARACTER, EVERY_CHARACTER);
    add(&reversed, EVERY_CHARACTER, &reversed);
    for id in &longest_alike {
        for other_id in &longest_alike {
            add(id, other_id, &reversed);
            add(EVERY_CHARACTER, id, other_id);
        }
    }
    for character in EVERY_CHARACTER.split("").filter(|character| !character.is_empty()) {
        add(character, character, character);
        add("t", character, "c");
        add("t", "u", character);
    }
    // What a careless way to join ids would take for one key.
    for (sender, client_id) in [("b-c", "d"), ("b", "c-d"), ("b_c", "d"), ("b", "c_d"), ("bc", "d"), ("b", "cd")] {
        add("a", sender, client_id);
    }
    let keys: HashSet<_> = events.iter().map(NewEvent::key).collect();
    let mut unseen = keys.clone();
    events.retain(|event| unseen.remove(&event.key()));

    let mut feed = other.subscribe(&team(EVERY_CHARACTER)).await.unwrap();
    let published = future::try_join_all(events.iter().map(|event| publish(&*log, event.clone()))).await.unwrap();
    assert!(published.iter().all(|one| !one.duplicate), "{published:?}");
    let repeats = future::try_join_all(events.iter().map(|event| publish(&*other, event.clone()))).await.unwrap();
    for (first, repeat) in published.iter().zip(&repeats) {
        assert_eq!((repeat.seq, repeat.duplicate), (first.seq, true));
    }
    let mut of_team: Vec<_> =
        events.iter().zip(&published).filter(|(event, _)| event.team == team(EVERY_CHARACTER)).collect();
    of_team.sort_by_key(|(_, published)| published.seq);
    for (event, published) in &of_team {
        let followed = next_event(&mut feed).await;
        assert_eq!(followed.seq, published.seq);
        assert!(followed.is_same_send(event));
    }
    assert_eq!(
        other.last_seq(&team(EVERY_CHARACTER)).await.unwrap(),
        of_team.last().map(|(_, published)| published.seq)
    );
    let mut read = Vec::new();
    for partition in log.partitions().iter() {
        let last = events.iter().zip(&published).filter(|(event, _)| log.partitions().of(&event.team) == partition);
        if let Some(last) = last.map(|(_, published)| published.seq).max() {
            read.extend(
                entries_up_to(&*other, partition, Seq::ZERO, last).await.into_iter().map(|(_, event)| event.key()),
            );
        }
    }
    assert_eq!(read.len(), keys.len());
    assert_eq!(read.into_iter().collect::<HashSet<_>>(), keys);
}

/// The largest body and the longest name come out as they went in, alone and many at once.
pub async fn the_largest_events_are_kept<F: Fixture>() {
    const EVENTS: usize = 100;
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let name = Name::parse(&"\u{1d11e}".repeat(NAME_CHARACTERS_MAX)).unwrap();
    let owner = UserId::parse(EVERY_CHARACTER).unwrap();
    let mut events = vec![NewEvent { kind: EventKind::TeamCreated { name, owner }, ..numbered(&team("a"), 0) }];
    events.extend((1..EVENTS).map(large));
    let mut feed = other.subscribe(&team("a")).await.unwrap();
    let alone = publish(&*log, events[0].clone()).await.unwrap();
    let many = future::try_join_all(events[1..].iter().map(|event| publish(&*log, event.clone()))).await.unwrap();
    let last = many.iter().map(|published| published.seq).max().unwrap();
    let entries = entries_up_to(&*other, PARTITION, Seq::ZERO, last).await;
    assert_eq!(entries.len(), EVENTS);
    let mut positions: Vec<_> = [alone].into_iter().chain(many).map(|published| published.seq).zip(&events).collect();
    positions.sort_by_key(|(seq, _)| *seq);
    for ((seq, event), entry) in positions.into_iter().zip(&entries) {
        assert_eq!((seq, event), (entry.0, &entry.1));
        let followed = next_event(&mut feed).await;
        assert_eq!(followed.seq, seq);
        assert!(followed.is_same_send(event));
    }
}

/// A log without room refuses, one and many at once; it loses and forgets nothing, and goes on when there is room again.
pub async fn a_full_log_refuses_forgets_nothing_and_goes_on<F: Fixture>() {
    let Some(fixture) = F::start_small().await else { return };
    let (log, other) = (fixture.handle().await, fixture.handle().await);
    assert_eq!(log.partitions(), Partitions::ONE);
    within("prepare", log.prepare(PARTITION, Seq::ZERO)).await.unwrap();
    let mut acknowledged: Vec<(usize, Published)> = Vec::new();
    let mut refused = Vec::new();
    while refused.is_empty() {
        assert!(acknowledged.len() < LARGE_MESSAGES_MAX, "the log is never full");
        let number = acknowledged.len();
        match publish(&*log, large(number)).await {
            Ok(published) => acknowledged.push((number, published)),
            Err(PublishError::Full) => refused.push(number),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(acknowledged.len() >= 4, "{} messages", acknowledged.len());
    let numbers = LARGE_MESSAGES_MAX..LARGE_MESSAGES_MAX + 100;
    let crowd = numbers.clone().map(|number| publish(if number % 2 == 0 { &*log } else { &*other }, large(number)));
    for (number, outcome) in numbers.zip(future::join_all(crowd).await) {
        match outcome {
            // What is refused may have left some room.
            Ok(published) => acknowledged.push((number, published)),
            Err(PublishError::Full) => refused.push(number),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused.len() > 50, "{} refused", refused.len());

    // A retry of what is in the log gets its result although a new event would be refused.
    for (number, first) in acknowledged.iter().step_by(7) {
        let repeat = publish(&*other, large(*number)).await.unwrap();
        assert_eq!((repeat.seq, repeat.duplicate), (first.seq, true));
    }
    let last = acknowledged.iter().map(|(_, published)| published.seq).max().unwrap();
    assert_eq!(other.last_seq(&team("a")).await.unwrap(), Some(last));
    let entries = entries_up_to(&*other, PARTITION, Seq::ZERO, last).await;
    assert_eq!(entries, expected(&acknowledged));

    within("make room", fixture.make_room()).await;
    for number in refused {
        let published = publish_until_settled(&*log, large(number)).await.unwrap();
        assert!(published.seq > last && !published.duplicate, "{published:?}");
        acknowledged.push((number, published));
    }
    let last = acknowledged.iter().map(|(_, published)| published.seq).max().unwrap();
    let entries = entries_up_to(&*other, PARTITION, Seq::ZERO, last).await;
    assert_eq!(entries, expected(&acknowledged));
}

/// What a log holds that has taken this.
fn expected(acknowledged: &[(usize, Published)]) -> Vec<(Seq, NewEvent)> {
    let mut entries: Vec<_> = acknowledged.iter().map(|(number, published)| (published.seq, large(*number))).collect();
    entries.sort_by_key(|(seq, _)| *seq);
    entries
}
