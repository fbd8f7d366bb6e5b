//! A batch: position and data move together, and what went in comes out.

use huddle_domain::{Event, EventKind, Role, Seq, limits::BODY_CHARACTERS_MAX};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, after, batch, body, created, event, name, posted, saying, store_all, team, user},
};
use crate::{Applied, Batch, MessagePosition, MessageQuery, Order};

/// Position and rows are committed together.
pub async fn a_batch_is_stored_once_and_moves_the_position<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    assert_eq!(writer.progress(), Seq::ZERO);

    let events = [posted("a", 11), posted("b", 12), posted("a", 15)];
    let applied = writer.apply(batch(events.clone())).await.unwrap();
    assert_eq!(applied, Applied { through: Seq::new(15), stored: 3, dead_letters: Vec::new() });
    assert_eq!((writer.progress(), store.progress(P0).await.unwrap()), (Seq::new(15), Seq::new(15)));

    let page = store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap();
    let [first, _, last] = events;
    assert_eq!((page.items, page.has_more), (vec![first, after(11, last)], false));
}

/// A batch that comes again, in whole or in part, changes nothing.
pub async fn items_at_or_below_the_position_are_skipped<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [posted("a", 5), posted("a", 7)]).await;

    let again = writer.apply(batch([posted("a", 5), posted("a", 7)])).await.unwrap();
    assert_eq!(again, Applied { through: Seq::new(7), stored: 0, dead_letters: Vec::new() });

    let overlapping = writer.apply(batch([posted("a", 7), posted("a", 8)])).await.unwrap();
    assert_eq!(overlapping, Applied { through: Seq::new(8), stored: 1, dead_letters: Vec::new() });
    // Whatever claims an old position comes too late.
    let old = writer.apply(batch([saying(posted("b", 6), "too late")])).await.unwrap();
    assert_eq!((old.through, old.stored), (Seq::new(8), 0));
    assert!(store.list_events(&team("b"), Seq::ZERO, 10, None).await.unwrap().items.is_empty());
    assert_eq!(seqs(&store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items), [5, 7, 8]);
}

/// The position can move where there is nothing to store.
pub async fn the_position_moves_over_a_stretch_without_events<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let applied = writer.apply(Batch { through: Seq::new(40), ..Batch::default() }).await.unwrap();
    assert_eq!((applied.through, writer.progress()), (Seq::new(40), Seq::new(40)));

    let beyond_the_last = Batch { through: Seq::new(60), ..batch([posted("a", 50)]) };
    assert_eq!(writer.apply(beyond_the_last).await.unwrap().through, Seq::new(60));
    assert_eq!(store.progress(P0).await.unwrap(), Seq::new(60));
}

/// A caller's mistake is told apart from a failure, and leaves nothing behind.
pub async fn a_batch_out_of_order_is_refused_and_writes_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let descending = Batch { through: Seq::new(9), ..batch([posted("a", 9), posted("a", 8)]) };
    let beyond_the_end = Batch { through: Seq::new(8), ..batch([posted("a", 9)]) };
    for disordered in [descending, beyond_the_end] {
        assert!(!writer.apply(disordered).await.unwrap_err().is_retryable());
    }
    assert_eq!(store.progress(P0).await.unwrap(), Seq::ZERO);
    assert!(store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items.is_empty());
}

/// Two thousand events of twenty teams in one transaction.
pub async fn a_large_batch_is_stored_whole<F: Fixture>(fixture: &F) {
    const EVENTS: u64 = 2_000;
    const TEAMS: u64 = 20;
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let events: Vec<Event> = (1..=EVENTS).map(|seq| posted(&format!("t{}", seq % TEAMS), seq)).collect();
    store_all(&mut *writer, events.clone()).await;
    for number in 0..TEAMS {
        let team_id = format!("t{number}");
        let stored = store.list_events(&team(&team_id), Seq::ZERO, 200, None).await.unwrap().items;
        let expected = events.iter().filter(|event| event.team.as_str() == team_id);
        assert!(stored.iter().map(|event| event.seq).eq(expected.map(|event| event.seq)), "team {team_id}");
    }
}

/// Each kind, with and without what it may leave out.
pub async fn every_kind_of_event_comes_back_as_it_was<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let member = |role, display_name: Option<&str>| EventKind::MemberAdded {
        user: user("bob"),
        role,
        name: display_name.map(name),
    };
    let kinds = [
        EventKind::TeamCreated { name: name("The team"), owner: user("ann") },
        member(Role::Admin, None),
        member(Role::Member, Some("Bob")),
        EventKind::MemberRoleChanged { user: user("bob"), role: Role::Owner },
        EventKind::posted(body("hello")),
        EventKind::TeamRenamed { name: name("Another name") },
        EventKind::MemberRemoved { user: user("bob") },
        EventKind::TeamArchived,
    ];
    let events: Vec<Event> = (1..).zip(kinds).map(|(seq, kind)| after(seq - 1, event("a", seq, kind))).collect();
    store_all(&mut *writer, events.clone()).await;
    assert_eq!(store.list_events(&team("a"), Seq::ZERO, 100, None).await.unwrap().items, events);
}

/// Nothing in a text is taken for anything but text.
pub async fn hostile_texts_come_back_byte_for_byte<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let longest = "\u{1f9d1}".repeat(BODY_CHARACTERS_MAX);
    let texts = [
        "'; DROP TABLE events; --",
        "\" OR \"\"=\"",
        "$1 ${2} {} %s %00 \\x00 \\0 \\",
        "{1,2,NULL,\"\"}",
        "NULL",
        " leading and trailing \r\n\t",
        "e\u{301} \u{e9} \u{202e}right to left \u{feff}",
        "\u{1}\u{7f}\u{85}",
        longest.as_str(),
    ];
    let events: Vec<Event> = (2..).zip(texts).map(|(seq, text)| saying(posted("a", seq), text)).collect();
    let hostile_name = name("'); DELETE FROM teams; --");
    let rename = event("a", 1_000, EventKind::TeamRenamed { name: hostile_name.clone() });
    store_all(&mut *writer, [created("a", 1, "ann")].into_iter().chain(events).chain([rename])).await;

    let query = MessageQuery { position: MessagePosition::Oldest, limit: 100, order: Order::OldestFirst };
    let messages = store.list_messages(&team("a"), query, None).await.unwrap().messages;
    let bodies: Vec<&str> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, texts);
    assert_eq!(store.team(&team("a"), None).await.unwrap().unwrap().name, hostile_name);
}

fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq.get()).collect()
}
