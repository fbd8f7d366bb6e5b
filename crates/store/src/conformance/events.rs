//! Reading events: pages by key, chained by `prev_seq`, each team for itself.

use huddle_domain::{ClientId, Event, SendKey, Seq};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, P1, added, after, created, from, posted, store_all, team, under, user},
};
use crate::{EventStore, MessagePosition, MessageQuery, Order};

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
        let page = store.list_events(&team("a"), Seq::new(after_seq), 5, None).await.unwrap();
        let rest: Vec<Event> = chained.iter().filter(|event| event.seq.get() > after_seq).cloned().collect();
        assert_eq!(page.items, rest[..rest.len().min(5)], "after {after_seq}");
        assert_eq!(page.has_more, rest.len() > 5, "after {after_seq}");
    }
    let beyond = store.list_events(&team("a"), Seq::new(u64::MAX), 5, None).await.unwrap();
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

    let whole = store.list_events(&team("a"), Seq::ZERO, 100_000, None).await.unwrap();
    assert_eq!((whole.items.len(), whole.has_more), (100_000, false));
    let near_the_end = store.list_events(&team("a"), Seq::new(EVENTS - 3), 2, None).await.unwrap();
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
    assert!(store.message(&team("a"), Seq::new(4), None).await.unwrap().is_none());
    assert!(store.membership(&team("a"), &user("bob"), None).await.unwrap().is_none());
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

/// Positions are compared as numbers, up to the last one that a store keeps.
pub async fn positions_are_paged_up_to_the_end_of_their_range<F: Fixture>(fixture: &F) {
    const END: u64 = i64::MAX.unsigned_abs();
    const SEQS: [u64; 15] = [
        9,
        10,
        99_999,
        999_999,
        1_000_000,
        1_000_001,
        (1 << 31) - 1,
        1 << 31,
        1 << 32,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        END - 2,
        END - 1,
        END,
    ];
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    // Each position twice: as what a batch ends with, and as what one begins above.
    for run in SEQS.chunks(2) {
        let at = |seq: &u64| {
            let event = under(posted("a", 1), &format!("c{seq}"));
            Event { seq: Seq::new(*seq), ..event }
        };
        store_all(&mut *writer, run.iter().map(at)).await;
        assert_eq!(store.progress(P0).await.unwrap().get(), run[run.len() - 1]);
    }
    for limit in [1, 2, 4, 15, 16] {
        let events = all_events(&*store, "a", limit).await;
        assert!(events.iter().map(|event| event.seq.get()).eq(SEQS), "pages of {limit}");
        let prev_seqs = events.iter().skip(1).map(|event| event.prev_seq.get());
        assert!(prev_seqs.eq(SEQS[..SEQS.len() - 1].iter().copied()), "pages of {limit}");
    }
    for (place, seq) in SEQS.into_iter().enumerate() {
        for cursor in [seq - 1, seq, seq + 1] {
            let above: Vec<u64> = SEQS.into_iter().filter(|seq| *seq > cursor).collect();
            let page = store.list_events(&team("a"), Seq::new(cursor), 20, None).await.unwrap();
            assert!(page.items.iter().map(|event| event.seq.get()).eq(above), "above {cursor}");
            let query = MessageQuery {
                position: MessagePosition::Before(Seq::new(cursor)),
                limit: 20,
                order: Order::OldestFirst,
            };
            let below = SEQS.into_iter().filter(|seq| *seq < cursor);
            let messages = store.list_messages(&team("a"), query, None).await.unwrap().messages;
            assert!(messages.iter().map(|message| message.seq.get()).eq(below), "below {cursor}");
        }
        assert_eq!(
            store.message(&team("a"), Seq::new(seq), None).await.unwrap().unwrap().seq,
            Seq::new(seq),
            "{place}"
        );
    }
    drop(writer);
    assert_eq!(claim(&*store, P0).await.progress(), Seq::new(END));
}

/// By bytes, each once, whatever the number of its events; teams without events are none.
pub async fn teams_with_events_are_paged_in_byte_order<F: Fixture>(fixture: &F) {
    const IDS: [&str; 9] = ["-", "10", "9", "A", "Z", "_", "a", "a-", "aa"];
    let store = fixture.open().await;
    let empty = store.list_teams(None, 10).await.unwrap();
    assert_eq!((empty.items, empty.has_more), (Vec::new(), false));
    let mut of_p0 = claim(&*store, P0).await;
    let mut of_p1 = claim(&*store, P1).await;
    let mut seq = 0;
    for (place, id) in IDS.iter().enumerate().rev() {
        let writer = if place % 2 == 0 { &mut of_p0 } else { &mut of_p1 };
        let count = u64::try_from(place % 3).unwrap() * 5 + 1;
        store_all(&mut **writer, (1..=count).map(|number| posted(id, seq + number))).await;
        seq += count;
    }
    for limit in [1, 2, 3, 8, 9, 10] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list_teams(cursor.as_ref(), limit).await.unwrap();
            cursor = page.items.last().cloned();
            found.extend(page.items.into_iter().map(|id| id.as_str().to_owned()));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(found, IDS, "pages of {limit}");
    }
    // A cursor need not be a team.
    let after_b = store.list_teams(Some(&team("B")), 2).await.unwrap();
    assert_eq!((after_b.items, after_b.has_more), (vec![team("Z"), team("_")], true));
    assert_eq!(store.list_teams(Some(&team("aa")), 2).await.unwrap().items, []);
}

/// Reads all of a team's events, page after page.
async fn all_events<S: EventStore + ?Sized>(store: &S, team_id: &str, limit: u32) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let cursor = events.last().map_or(Seq::ZERO, |event| event.seq);
        let page = store.list_events(&team(team_id), cursor, limit, None).await.unwrap();
        let is_last = !page.has_more;
        assert!(is_last || page.items.len() == usize::try_from(limit).unwrap(), "only the last page may be short");
        events.extend(page.items);
        if is_last {
            return events;
        }
    }
}
