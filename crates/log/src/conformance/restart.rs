//! What holds the log ends abruptly and comes back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future, stream};
use huddle_domain::{NewEvent, Partition, Seq};
use tokio::{sync::Notify, time::sleep};

use super::{
    Fixture,
    support::{entries_up_to, event_of, numbered, prepared, publish, publish_until_settled, team, within},
};
use crate::{EntryContent, LiveItem, Log, PublishError};

const PARTITION: Partition = Partition::new(0);
const EVENTS: usize = 3_000;
const IN_FLIGHT: usize = 128;

/// Publishes `EVENTS` events, `IN_FLIGHT` at once, each until it is settled; the log is killed when a third is through.
async fn publish_over_a_kill<F: Fixture>(fixture: &F, log: &Arc<dyn Log>) -> HashMap<usize, Seq> {
    let (a, b) = (team("a"), team("b"));
    let mut settled = stream::iter(0..EVENTS)
        .map(|number| {
            let event = numbered(if number % 2 == 0 { &a } else { &b }, number);
            async move { (number, publish_until_settled(&**log, event).await.unwrap().seq) }
        })
        .buffer_unordered(IN_FLIGHT);
    let mut positions = HashMap::new();
    while positions.len() < EVENTS / 3 {
        positions.extend(settled.next().await);
    }
    let rest = async {
        let mut rest = Vec::new();
        while let Some(position) = settled.next().await {
            rest.push(position);
        }
        rest
    };
    let ((), rest) = tokio::join!(
        within("kill and restart", fixture.kill_and_restart()),
        within("all events published over an abrupt end", rest)
    );
    positions.extend(rest);
    positions
}

/// Every acknowledged event stands at its position exactly once, nothing else does, and a reader that starts again from
/// its own position whenever it fails sees it all.
pub async fn an_abrupt_end_loses_and_doubles_nothing<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let reading = async {
        let mut entries: Vec<(Seq, NewEvent)> = Vec::new();
        while entries.len() < EVENTS {
            let after = entries.last().map_or(Seq::ZERO, |(seq, _)| *seq);
            let Ok(mut reader) = other.read(PARTITION, after).await else { continue };
            while entries.len() < EVENTS {
                match within("an entry or an error", reader.next()).await {
                    Some(Ok(entry)) => entries.push((entry.seq, event_of(entry))),
                    Some(Err(error)) => {
                        assert!(error.is_retryable(), "{error}");
                        break;
                    }
                    None => break,
                }
            }
        }
        entries
    };
    let (positions, entries) = tokio::join!(publish_over_a_kill(&fixture, &log), reading);
    assert_eq!(positions.len(), EVENTS);
    assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let by_key: HashMap<_, _> =
        entries.iter().map(|(seq, event)| (event.client_id.as_str().to_owned(), *seq)).collect();
    assert_eq!(by_key.len(), EVENTS, "an event stands in the log twice");
    for (number, seq) in positions {
        assert_eq!(by_key[&format!("n{number}")], seq, "of event {number}");
    }
    // Nothing follows but what is published now.
    let end = publish(&*log, numbered(&team("a"), EVENTS)).await.unwrap();
    let last = entries.last().unwrap().0;
    let mut reader = other.read(PARTITION, last).await.unwrap();
    let entry = within("the last entry", reader.next()).await.unwrap().unwrap();
    assert!(matches!(entry.content, EntryContent::Event(_)));
    assert_eq!(entry.seq, end.seq);
}

/// A feed that goes on after an abrupt end either has every event, or tells of an interruption where some may be missing;
/// and the end of a feed that lost its last events is told of too.
pub async fn feeds_tell_of_what_they_may_have_missed<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let mut feed = other.subscribe(&a).await.unwrap();
    let following = async {
        // What is known to have come: everything up to here without a hole, or known to be read elsewhere.
        let mut known = Seq::ZERO;
        let last_event = numbered(&a, EVENTS);
        loop {
            match within("an item", feed.next()).await.unwrap() {
                LiveItem::Interrupted => {
                    known = loop {
                        // What the interruption has hidden is what lies up to the last position.
                        match other.last_seq(&a).await {
                            Ok(last) => break known.max(last.unwrap_or(Seq::ZERO)),
                            Err(error) => assert!(error.is_retryable(), "{error}"),
                        }
                        sleep(Duration::from_millis(50)).await;
                    };
                }
                LiveItem::Event(event) => {
                    if event.seq > known {
                        assert!(event.prev_seq <= known, "{} is missing, known up to {known}", event.prev_seq);
                        known = event.seq;
                    }
                    if event.is_same_send(&last_event) {
                        return;
                    }
                }
            }
        }
    };
    let publishing = async {
        publish_over_a_kill(&fixture, &log).await;
        publish_until_settled(&*log, numbered(&a, EVENTS)).await.unwrap();
    };
    tokio::join!(following, publishing);
}

/// A burst that is in flight over two handles when the log is killed: what is acknowledged is there, and retries settle the
/// rest, each event once.
pub async fn a_burst_in_flight_at_an_abrupt_end_settles<F: Fixture>() {
    const BURST: usize = 1_000;
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let teams = ["a", "b", "c"].map(team);
    let events: Vec<_> = (0..BURST).map(|number| numbered(&teams[number % 3], number)).collect();
    let first_through = Notify::new();
    let burst = future::join_all(events.iter().enumerate().map(|(number, event)| {
        let (log, first_through) = (if number % 2 == 0 { &log } else { &other }, &first_through);
        async move {
            let outcome = publish(&**log, event.clone()).await;
            first_through.notify_one();
            outcome
        }
    }));
    let killing = async {
        first_through.notified().await;
        within("kill and restart", fixture.kill_and_restart()).await;
    };
    let (outcomes, ()) = tokio::join!(within("the burst", burst), killing);
    let mut positions = HashMap::new();
    for (event, outcome) in events.iter().zip(outcomes) {
        let settled = publish_until_settled(&*other, event.clone()).await.unwrap().seq;
        match outcome {
            Ok(published) => assert_eq!(published.seq, settled),
            Err(PublishError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        positions.insert(event.key(), settled);
    }
    let last = *positions.values().max().unwrap();
    let entries = entries_up_to(&*log, PARTITION, Seq::ZERO, last).await;
    assert_eq!(entries.len(), BURST);
    assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(entries.iter().all(|(seq, event)| positions[&event.key()] == *seq));
}
