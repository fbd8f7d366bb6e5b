//! Reading one team's events from the log.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future;
use huddle_domain::{Event, NewEvent, Partition, Seq, TeamId};
use tokio::task::yield_now;

use super::{
    Fixture,
    support::{numbered, partitions, post, prepared, publish, team, within},
};
use crate::{Condition, LOG_PAGE_EVENTS_MAX, Log};

const PARTITION: Partition = Partition::new(0);

/// Publishes one event after the other without waiting, and returns what stands where.
async fn publish_all(log: &dyn Log, events: impl IntoIterator<Item = NewEvent>) -> Vec<(Seq, NewEvent)> {
    let mut pending = Vec::new();
    for event in events {
        pending.push((log.publish(event.clone(), Condition::None).await.unwrap(), event));
    }
    let settled = pending.into_iter().map(|(pending, event)| async move { (pending.await.unwrap().seq, event) });
    within("publish", future::join_all(settled)).await
}

/// A page, as soon as the log has one: a copy may lag behind for a while.
async fn page(log: &dyn Log, team: &TeamId, after: Seq, through: Seq) -> Vec<Arc<Event>> {
    within("a page", async {
        loop {
            if let Some(page) = log.events_between(team, after, through).await.unwrap() {
                return page;
            }
            yield_now().await;
        }
    })
    .await
}

/// Checks that `page` is the beginning of `expected`, and its end when it says that there is no more.
fn assert_page(page: &[Arc<Event>], after: Seq, through: Seq, expected: &[(Seq, NewEvent)]) {
    assert!(page.len() <= LOG_PAGE_EVENTS_MAX, "{}", page.len());
    assert!(page.len() <= expected.len(), "{} of {}", page.len(), expected.len());
    assert!(page.len() == expected.len() || page.last().is_some_and(|last| last.seq < through), "ends early");
    let mut before = None;
    for (event, (seq, new)) in page.iter().zip(expected) {
        assert_eq!(event.seq, *seq);
        assert!(event.is_same_send(new), "at {seq}");
        assert_eq!(&event.team, &new.team);
        match before {
            Some(before) => assert_eq!(event.prev_seq, before),
            None => assert!(event.prev_seq <= after, "{} is not at or below {after}", event.prev_seq),
        }
        before = Some(*seq);
    }
}

/// A team's events come ascending, all of them and none of others, in pages whose events chain.
pub async fn a_teams_events_are_read_between_two_positions<F: Fixture>() {
    const EVENTS: usize = 3 * LOG_PAGE_EVENTS_MAX;
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let (a, b) = (team("a"), team("b"));
    let all = (0..EVENTS).map(|number| numbered(if number % 3 == 0 { &b } else { &a }, number));
    let all = publish_all(&*log, all).await;
    let of_a: Vec<_> = all.iter().filter(|(_, event)| event.team == a).cloned().collect();
    assert!(of_a.len() > LOG_PAGE_EVENTS_MAX && of_a.len() < EVENTS);
    let last = of_a.len() - 1;

    for (first, end) in [(0, last), (1, 1), (1, last), (200, 300), (last - 1, last), (last, last)] {
        let through = of_a[end].0;
        // The position before an event of the team is one of the team, or of the other one.
        let mut after = Seq::new(of_a[first].0.get() - 1);
        let mut rest = &of_a[first..=end];
        while !rest.is_empty() {
            let page = page(&*other, &a, after, through).await;
            assert!(!page.is_empty());
            assert_page(&page, after, through, rest);
            rest = &rest[page.len()..];
            after = page[page.len() - 1].seq;
        }
    }
    // Position, predecessor, time and content are what followers see.
    let mut feed = log.subscribe(&a).await.unwrap();
    let published = publish(&*log, numbered(&a, EVENTS)).await.unwrap();
    let live = super::support::next_event(&mut feed).await;
    assert_eq!(page(&*other, &a, of_a[last].0, published.seq).await, [live]);
}

/// A page that is read as soon as its last event was acknowledged has no hole, or there is no page.
pub async fn pages_read_while_others_append_have_no_holes<F: Fixture>() {
    const PAGES: usize = 40;
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let (a, b) = (team("a"), team("b"));
    let mut after = publish(&*log, post(&a, "ann", "first", "hello")).await.unwrap().seq;
    let done = AtomicBool::new(false);
    let noise = async {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            publish(&*other, post(&b, "bob", &format!("b{number}"), "hello")).await.unwrap();
            number += 1;
        }
    };
    let reading = async {
        let mut pages = 0;
        let mut unread = Vec::new();
        for number in 0.. {
            unread.extend(publish_all(&*log, (0..5).map(|event| numbered(&a, number * 5 + event))).await);
            let through = unread[unread.len() - 1].0;
            let Some(page) = other.events_between(&a, after, through).await.unwrap() else { continue };
            assert_page(&page, after, through, &unread);
            unread.drain(..page.len());
            after = page[page.len() - 1].seq;
            pages += 1;
            if pages == PAGES {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    within("all pages", async { tokio::join!(noise, reading) }).await;
}

/// There is no page beyond what is appended, and none of a team that has no events.
pub async fn a_page_that_the_log_cannot_complete_is_none<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let other = fixture.handle().await;
    let a = team("a");
    let published = publish_all(&*log, (0..3).map(|number| numbered(&a, number))).await;
    let (first, last) = (published[0].0, published[2].0);
    for (team, after, through) in [
        (&a, first, last.next()),
        (&a, last, last.next()),
        (&team("empty"), first, last),
        (&a, last, Seq::new(1 << 40)),
    ] {
        let outcome = within("no page", other.events_between(team, after, through)).await.unwrap();
        assert!(outcome.is_none(), "{team} after {after} through {through}: {outcome:?}");
    }
}

/// What lies below the beginning of the log is left to history: there is a page from what the log holds only.
pub async fn a_page_from_before_the_log_is_none<F: Fixture>() {
    let fixture = F::start(partitions(1)).await;
    let (log, other) = (fixture.handle().await, fixture.handle().await);
    let a = team("a");
    // Made anew above what is stored.
    let stored = Seq::new(123_456_789);
    log.prepare(PARTITION, stored).await.unwrap();
    let mut published = publish_all(&*log, (0..3).map(|number| numbered(&a, number))).await;
    let begin = Seq::new(published[0].0.get() - 1);
    assert_page(&page(&*other, &a, begin, published[2].0).await, begin, published[2].0, &published);
    for after in [Seq::ZERO, Seq::new(5), stored, Seq::new(begin.get() - 1)] {
        let outcome = within("a page or none", other.events_between(&a, after, published[2].0)).await.unwrap();
        match outcome {
            None => assert!(fixture.forgets(), "none after {after}"),
            Some(page) => {
                assert!(!fixture.forgets(), "a page after {after}, from a log that begins after {begin}");
                assert_page(&page, after, published[2].0, &published);
            }
        }
    }
    // Moved on by a hole; what was before it may be gone.
    let before = published[2].0;
    within("advance", log.advance(PARTITION, before, Seq::new(before.get() + 1_000_000))).await.unwrap();
    published.extend(publish_all(&*log, (3..6).map(|number| numbered(&a, number))).await);
    let through = published[5].0;
    for (from, after) in [(0, begin), (2, published[1].0), (3, before)] {
        match within("a page or none", other.events_between(&a, after, through)).await.unwrap() {
            None => assert!(fixture.forgets(), "none after {after}"),
            Some(page) => assert_page(&page, after, through, &published[from..]),
        }
    }
    let after = published[3].0;
    assert_page(&page(&*other, &a, after, through).await, after, through, &published[4..]);
}

/// What is no event is left out, and the events around it chain.
pub async fn undecodable_entries_are_left_out_of_a_page<F: Fixture>() {
    let (fixture, log) = prepared::<F>(1).await;
    let a = team("a");
    let mut published = publish_all(&*log, [numbered(&a, 0)]).await;
    if !fixture.append_raw(&a, b"\xff\xff no protobuf").await {
        return;
    }
    published.extend(publish_all(&*log, [numbered(&a, 1), numbered(&a, 2)]).await);
    let through = published[2].0;
    for first in 0..3 {
        let after = Seq::new(published[first].0.get() - 1);
        assert_page(&page(&*log, &a, after, through).await, after, through, &published[first..]);
    }
}
