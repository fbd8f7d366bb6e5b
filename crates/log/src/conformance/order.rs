//! One order for everybody.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use futures_util::{StreamExt as _, future, stream};
use huddle_domain::{Seq, TeamId};

use super::{
    Fixture,
    support::{entries_up_to, next_event, numbered, post, prepared, publish, team, within},
};
use crate::{Condition, Log, Pending};

/// Of two events of a team, the one that was queued first gets the lower position, however many are in flight.
pub async fn order_of_one_caller_is_kept<F: Fixture>() {
    let (_fixture, log) = prepared::<F>(2).await;
    let teams = ["a", "b", "c"].map(team);
    let mut pending = Vec::new();
    for number in 0..1_500 {
        let event = numbered(&teams[number % 3], number);
        pending.push((number % 3, log.publish(event, Condition::None).await.unwrap()));
    }
    let mut last = [Seq::ZERO; 3];
    for (place, pending) in pending {
        let published = within("publish", pending).await.unwrap();
        assert!(published.seq > last[place] && !published.duplicate, "{published:?} after {}", last[place]);
        last[place] = published.seq;
    }
}

/// On every feed positions ascend and each event names the one before it, while two processes publish to many teams.
pub async fn live_events_ascend_and_chain<F: Fixture>() {
    const TEAMS: usize = 12;
    const EVENTS_PER_TEAM_AND_HANDLE: usize = 50;
    let (fixture, log) = prepared::<F>(2).await;
    let other = fixture.handle().await;
    let teams: Vec<_> = (0..TEAMS).map(|number| team(&format!("team-{number}"))).collect();
    let mut feeds = Vec::new();
    for team in &teams {
        feeds.push(log.subscribe(team).await.unwrap());
    }

    let all = async {
        tokio::join!(
            publish_to_all(&*log, &teams, 0..EVENTS_PER_TEAM_AND_HANDLE),
            publish_to_all(&*other, &teams, 1_000..1_000 + EVENTS_PER_TEAM_AND_HANDLE)
        )
    };
    within("all publishes", all).await;

    for feed in &mut feeds {
        let mut last = Seq::ZERO;
        let mut count = 0;
        while count < 2 * EVENTS_PER_TEAM_AND_HANDLE {
            let event = next_event(feed).await;
            if event.seq <= last {
                continue;
            }
            assert_eq!(event.prev_seq, last, "of event {}", event.seq);
            last = event.seq;
            count += 1;
        }
    }
}

/// However many write at once, through several handles and into several partitions: there is one order, which every reader
/// and every follower sees, and which keeps that of each writer.
pub async fn many_writers_make_one_order<F: Fixture>() {
    const HANDLES: usize = 3;
    const TEAMS: usize = 6;
    const WRITERS: usize = 18;
    const EVENTS_PER_WRITER: usize = 60;
    const IN_FLIGHT: usize = 16;
    let (fixture, log) = prepared::<F>(2).await;
    let mut handles = vec![log];
    while handles.len() < HANDLES {
        handles.push(fixture.handle().await);
    }
    let teams: Vec<_> = (0..TEAMS).map(|number| team(&format!("team-{number}"))).collect();
    let mut feeds = Vec::new();
    for team in &teams {
        feeds.push([handles[1].subscribe(team).await.unwrap(), handles[2].subscribe(team).await.unwrap()]);
    }
    let writers = (0..WRITERS).map(|writer| {
        let (log, team) = (&handles[writer % HANDLES], &teams[writer % TEAMS]);
        let sender = format!("writer-{writer}");
        async move {
            let mut in_flight = VecDeque::new();
            let mut positions = Vec::new();
            for number in 0..EVENTS_PER_WRITER {
                if in_flight.len() == IN_FLIGHT {
                    positions.push(next_position(&mut in_flight).await);
                }
                let event = post(team, &sender, &format!("n{number}"), &format!("message {number}"));
                in_flight.push_back(log.publish(event, Condition::None).await.unwrap());
            }
            while !in_flight.is_empty() {
                positions.push(next_position(&mut in_flight).await);
            }
            positions
        }
    });
    let written = within("all writers", future::join_all(writers)).await;
    assert!(written.iter().all(|positions| positions.is_sorted_by(|one, next| one < next)));

    let partitions = handles[0].partitions();
    let mut of_team: HashMap<_, Vec<_>> = HashMap::new();
    for partition in partitions.iter() {
        let last = written.iter().enumerate().filter(|(writer, _)| partitions.of(&teams[writer % TEAMS]) == partition);
        let Some(last) = last.filter_map(|(_, positions)| positions.last().copied()).max() else { continue };
        let entries = entries_up_to(&*handles[0], partition, Seq::ZERO, last).await;
        for log in &handles[1..] {
            assert_eq!(entries_up_to(&**log, partition, Seq::ZERO, last).await, entries);
        }
        for (seq, event) in entries {
            let (writer, number) = (number_in(event.sender.as_str()), number_in(event.client_id.as_str()));
            assert_eq!(written[writer][number], seq);
            of_team.entry(event.team.clone()).or_default().push((seq, event));
        }
    }
    assert_eq!(of_team.values().map(Vec::len).sum::<usize>(), WRITERS * EVENTS_PER_WRITER);
    for (team, feeds) in teams.iter().zip(&mut feeds) {
        for feed in feeds {
            let mut last = Seq::ZERO;
            for (seq, event) in &of_team[team] {
                let mut followed = next_event(feed).await;
                while followed.seq <= last {
                    followed = next_event(feed).await;
                }
                assert_eq!((followed.seq, followed.prev_seq), (*seq, last));
                assert!(followed.is_same_send(event));
                last = *seq;
            }
        }
    }
}

async fn next_position(in_flight: &mut VecDeque<Pending>) -> Seq {
    within("publish", in_flight.pop_front().unwrap()).await.unwrap().seq
}

/// The number at the end of an id.
fn number_in(id: &str) -> usize {
    id.trim_start_matches(|character: char| !character.is_ascii_digit()).parse().unwrap()
}

async fn publish_to_all(log: &dyn Log, teams: &[TeamId], numbers: Range<usize>) {
    let events: Vec<_> = numbers.flat_map(|number| teams.iter().map(move |team| numbered(team, number))).collect();
    stream::iter(events)
        .map(|event| publish(log, event))
        .buffered(256)
        .for_each(|published| async { assert!(!published.unwrap().duplicate) })
        .await;
}
