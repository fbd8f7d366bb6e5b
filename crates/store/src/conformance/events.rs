//! Reading events: pages by key, chained by `prev_seq`, each team for itself.

use huddle_domain::{ClientId, Event, SendKey, Seq};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, added, after, created, from, posted, store_all, team, under, user},
};
use crate::EventStore;

/// Whatever the size of the pages, and wherever they begin.
pub async fn the_chain_of_positions_holds_across_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    // Two teams take turns in one log, so neither's positions are dense.
    let events: Vec<Event> = (1..=60)
        .map(|seq| match seq % 3 {
            0 => posted("b", seq),
            1 => added("a", seq, &format!("u{seq}"), huddle_domain::Role::Member),
            _ => posted("a", seq),
        })
        .collect();
    store_all(&mut *writer, events.clone()).await;

    let mut prev_seq = 0;
    let mut chained = Vec::new();
    for event in events.into_iter().filter(|event| event.team == team("a")) {
        chained.push(after(prev_seq, event));
        prev_seq = chained[chained.len() - 1].seq.get();
    }
    for limit in [1, 2, 3, 7, 39, 40, 41, 1_000] {
        assert_eq!(all_events(&*store, "a", limit).await, chained, "pages of {limit}");
    }
    for after_seq in 0..=61 {
        let page = store.list_events(&team("a"), Seq::new(after_seq), 5).await.unwrap();
        let rest: Vec<Event> = chained.iter().filter(|event| event.seq.get() > after_seq).cloned().collect();
        assert_eq!(page.items, rest[..rest.len().min(5)], "after {after_seq}");
        assert_eq!(page.has_more, rest.len() > 5, "after {after_seq}");
    }
    let beyond = store.list_events(&team("a"), Seq::new(u64::MAX), 5).await.unwrap();
    assert_eq!((beyond.items, beyond.has_more), (Vec::new(), false));
}

/// A long history is read from any point, in pages of any size.
pub async fn a_hundred_thousand_events_are_paged_by_key<F: Fixture>(fixture: &F) {
    const EVENTS: u64 = 100_000;
    const BATCH: usize = 2_000;
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let seqs: Vec<u64> = (1..=EVENTS).collect();
    for run in seqs.chunks(BATCH) {
        store_all(&mut *writer, run.iter().map(|seq| posted("a", *seq))).await;
    }
    let paged = all_events(&*store, "a", 1_000).await;
    assert!(
        paged.iter().map(|event| (event.prev_seq.get(), event.seq.get())).eq((1..=EVENTS).map(|seq| (seq - 1, seq)))
    );

    let whole = store.list_events(&team("a"), Seq::ZERO, 100_000).await.unwrap();
    assert_eq!((whole.items.len(), whole.has_more), (100_000, false));
    let near_the_end = store.list_events(&team("a"), Seq::new(EVENTS - 3), 2).await.unwrap();
    assert_eq!(near_the_end.items.iter().map(|event| event.seq.get()).collect::<Vec<_>>(), [99_998, 99_999]);
    assert!(near_the_end.has_more);
}

/// The same senders and client ids in two teams are two histories.
pub async fn teams_do_not_see_each_other<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let events = [
        created("a", 1, "ann"),
        created("b", 2, "bob"),
        under(posted("a", 3), "same"),
        under(posted("b", 4), "same"),
        // Ids that sort next to each other, and differ by case only.
        under(posted("A", 5), "same"),
        under(posted("a-", 6), "same"),
        under(posted("a_", 7), "same"),
    ];
    store_all(&mut *writer, events).await;
    for (team_id, expected) in [("a", vec![1, 3]), ("b", vec![2, 4]), ("A", vec![5]), ("a-", vec![6]), ("a_", vec![7])]
    {
        let events = all_events(&*store, team_id, 10).await;
        assert_eq!(events.iter().map(|event| event.seq.get()).collect::<Vec<_>>(), expected, "team {team_id}");
        assert!(events.iter().all(|event| event.team == team(team_id)));
    }
    assert!(store.message(&team("a"), Seq::new(4)).await.unwrap().is_none());
    assert!(store.membership(&team("a"), &user("bob")).await.unwrap().is_none());
}

/// One question for many keys, of which some were never used.
pub async fn a_thousand_sends_are_found_at_once<F: Fixture>(fixture: &F) {
    const STORED: u64 = 1_500;
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let sent = |seq: u64| from(posted(&format!("t{}", seq % 7), seq), &format!("u{}", seq % 11));
    store_all(&mut *writer, (1..=STORED).map(sent)).await;

    let mut keys: Vec<SendKey> = (1_001..=2_000).map(|seq| sent(seq).key()).collect();
    // Asked for twice, found once; and keys that differ from a stored one in a single part.
    keys.push(keys[0].clone());
    keys.push(SendKey { team: team("other"), ..keys[0].clone() });
    keys.push(SendKey { sender: user("other"), ..keys[0].clone() });
    keys.push(SendKey { client_id: ClientId::parse("other").expect("a sample id is valid"), ..keys[0].clone() });
    let mut found = store.find_sends(&keys).await.unwrap();
    found.sort_by_key(|event| event.seq);
    assert_eq!(found, (1_001..=STORED).map(sent).collect::<Vec<_>>());
    assert_eq!(store.find_sends(&[]).await.unwrap(), []);
}

/// Reads all of a team's events, page after page.
async fn all_events<S: EventStore + ?Sized>(store: &S, team_id: &str, limit: u32) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let cursor = events.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store.list_events(&team(team_id), cursor, limit).await.unwrap();
        let is_last = !page.has_more;
        assert!(is_last || page.items.len() == usize::try_from(limit).unwrap(), "only the last page may be short");
        events.extend(page.items);
        if is_last {
            return events;
        }
    }
}
