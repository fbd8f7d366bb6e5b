//! One order for everybody.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use huddle_domain::{Seq, TeamId};

use super::{
    Fixture,
    support::{next_event, numbered, prepared, publish, team, within},
};
use crate::{Condition, Log};

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

async fn publish_to_all(log: &dyn Log, teams: &[TeamId], numbers: Range<usize>) {
    let events: Vec<_> = numbers.flat_map(|number| teams.iter().map(move |team| numbered(team, number))).collect();
    stream::iter(events)
        .map(|event| publish(log, event))
        .buffered(256)
        .for_each(|published| async { assert!(!published.unwrap().duplicate) })
        .await;
}
