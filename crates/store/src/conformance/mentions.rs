//! What messages mention and what they are about; whose mentions are listed, and in which order.

use huddle_domain::{Event, EventKind, Role, Seq, UserId, limits::MENTIONS_MAX};

use super::{
    Fixture,
    fixture::claim,
    samples::{
        P0, P1, added, after, batch, created, event, mentioning, named, posted, saying, shifted, store_all, tagged,
        team, under, user,
    },
};
use crate::{Batch, DeadLetterReason, EventStore, MentionPosition, MessagePosition, MessageQuery, Order};

/// With nothing, with one sort, with both, and with as many mentions as a message may have; in every way of reading.
pub async fn a_messages_tags_come_back_as_they_were<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let crowd: Vec<String> = (0..MENTIONS_MAX).map(|number| format!("u{number}")).collect();
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    let longest = "x".repeat(64);
    let events = [
        posted("a", 1),
        mentioning(posted("a", 2), &["bob"]),
        tagged(posted("a", 3), &[], Some(("issue", "7"))),
        // Words that mean something to databases, in no order of their own.
        tagged(posted("a", 4), &["zoe", "null", "NULL", "ann"], Some(("null", "NULL"))),
        mentioning(posted("a", 5), &crowd),
        tagged(posted("a", 6), &[&longest], Some((&longest, &longest))),
        posted("a", 7),
    ];
    // One by one and as a set: the ways of writing may differ.
    let mut other_writer = claim(&*store, P1).await;
    for event in events.clone() {
        store_all(&mut *other_writer, [Event { team: team("alone"), ..event }]).await;
    }
    store_all(&mut *writer, events.clone()).await;

    let chained: Vec<Event> = (0..).zip(events.clone()).map(|(prev_seq, event)| after(prev_seq, event)).collect();
    assert_eq!(store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items, chained);
    let mut found = store.find_sends(&events.clone().map(|event| event.key())).await.unwrap();
    found.sort_by_key(|event| event.seq);
    assert_eq!(found, events);
    let query = MessageQuery { position: MessagePosition::Oldest, limit: 10, order: Order::OldestFirst };
    let listed = store.list_messages(&team("a"), query, None).await.unwrap().messages;
    let alone = store.list_messages(&team("alone"), query, None).await.unwrap().messages;
    assert_eq!((listed.len(), alone.len()), (7, 7));
    for ((sent, listed), alone) in events.iter().zip(listed).zip(alone) {
        let EventKind::Posted { tags, .. } = &sent.kind else { unreachable!("the sample is a message") };
        assert_eq!((&listed.tags, &alone.tags), (tags, tags));
        assert_eq!(store.message(&team("a"), sent.seq, None).await.unwrap().unwrap(), listed);
    }
}

/// What a message mentions is part of it: a retry says the same, and an import meets the same.
pub async fn the_same_text_with_other_tags_is_another_message<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let sent = tagged(posted("a", 2), &["ann", "bob"], Some(("issue", "7")));
    store_all(&mut *claim(&*store, P0).await, [posted("a", 1), sent.clone(), created("a", 3, "ann")]).await;
    let others = [
        posted("a", 2),
        mentioning(posted("a", 2), &["ann", "bob"]),
        tagged(posted("a", 2), &[], Some(("issue", "7"))),
        tagged(posted("a", 2), &["bob", "ann"], Some(("issue", "7"))),
        tagged(posted("a", 2), &["ann", "bob"], Some(("issue", "8"))),
        tagged(posted("a", 2), &["ann", "bob"], Some(("log", "7"))),
    ];
    let mut writer = claim(&*store, P1).await;
    for (number, other) in (1..).zip(&others) {
        assert_eq!(writer.import(vec![other.clone()]).await.unwrap().conflicts.len(), 1, "{other:?}");
        let late = Event { seq: Seq::new(10 * number), ..other.clone() };
        let applied = writer.apply(batch([late])).await.unwrap();
        assert_eq!(applied.dead_letters, [(Seq::new(10 * number), DeadLetterReason::LateDuplicate)]);
    }
    assert_eq!(writer.import(vec![sent.clone()]).await.unwrap().present, 1);
    // What became no message mentions nobody.
    assert_eq!(mentions(&*store, "ann").await, ["a 2"]);
    assert_eq!(mentions(&*store, "bob").await, [""; 0]);
    for letter in fixture.dead_letters(P1).await {
        assert!(letter.detail.contains("other content"), "{}", letter.detail);
    }
}

/// Over teams and partitions whose times go their own ways, in pages of any size, without a gap and without a double.
pub async fn mentions_are_listed_newest_first_over_all_teams<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let (mut of_p0, mut of_p1) = (claim(&*store, P0).await, claim(&*store, P1).await);
    let mut expected: Vec<MentionPosition> = Vec::new();
    for (writer, teams, lag) in [(&mut of_p0, ["a", "c"], 0), (&mut of_p1, ["b", "B"], -45)] {
        let mut events = vec![created(teams[0], 1, "ann"), created(teams[1], 2, "ann")];
        for seq in 3..=60 {
            // Several share a time: in one team, and in two.
            let message = shifted(posted(teams[usize::from(seq % 3 == 0)], seq), lag - i64::try_from(seq % 4).unwrap());
            let users: &[&str] = match seq % 5 {
                0 => &[],
                1 => &["bob", "ann"],
                2 => &["bob"],
                _ => &["ann"],
            };
            let message = mentioning(message, users);
            if users.contains(&"ann") {
                expected.push(MentionPosition { time: message.time, team: message.team.clone(), seq: message.seq });
            }
            events.push(message);
        }
        store_all(&mut **writer, events).await;
    }
    expected.sort_by(|a, b| b.cmp(a));

    for limit in [1, 2, 3, 7, 50, 500] {
        let mut found: Vec<MentionPosition> = Vec::new();
        loop {
            let page = store.list_mentions(&user("ann"), found.last(), limit).await.unwrap();
            assert!(!page.has_more || page.items.len() == usize::try_from(limit).unwrap(), "pages of {limit}");
            found.extend(page.items.iter().map(MentionPosition::from));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    // A cursor need not be a mention, nor its team one of the user's.
    let between = MentionPosition { team: team("bb"), ..expected[10].clone() };
    let older = expected.iter().filter(|position| **position < between);
    let page = store.list_mentions(&user("ann"), Some(&between), 500).await.unwrap();
    assert!(page.items.iter().map(MentionPosition::from).eq(older.cloned()));
    // Bob is mentioned in teams that he is not in.
    assert_eq!(mentions(&*store, "bob").await, [""; 0]);
    assert_eq!(mentions(&*store, "nobody").await, [""; 0]);
}

/// What counts is who is a member now: not when the message was posted, nor whether the team is known otherwise.
pub async fn only_teams_that_the_user_is_in_now_are_listed<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let removed = |team_id, seq, id| event(team_id, seq, EventKind::MemberRemoved { user: user(id) });
    let to_bob = |team_id, seq| mentioning(posted(team_id, seq), &["bob"]);
    store_all(
        &mut *writer,
        [
            created("a", 1, "ann"),
            to_bob("a", 2),
            added("a", 3, "bob", Role::Member),
            to_bob("a", 4),
            created("b", 5, "bob"),
            to_bob("b", 6),
            // A team whose creation is not known.
            added("unknown", 7, "bob", Role::Member),
            to_bob("unknown", 8),
        ],
    )
    .await;
    assert_eq!(mentions(&*store, "bob").await, ["b 6", "a 4", "a 2"]);

    store_all(&mut *writer, [removed("a", 9, "bob"), to_bob("a", 10), to_bob("b", 11)]).await;
    assert_eq!(mentions(&*store, "bob").await, ["b 11", "b 6"]);
    let page = store.list_mentions(&user("bob"), None, 2).await.unwrap();
    assert!(!page.has_more, "what the user may not see is not announced either");

    store_all(&mut *writer, [added("a", 12, "bob", Role::Member), event("b", 13, EventKind::TeamArchived)]).await;
    assert_eq!(mentions(&*store, "bob").await, ["b 11", "a 10", "b 6", "a 4", "a 2"]);
}

/// Imported messages mention, once, however often they come, and wherever the team's other events lie.
pub async fn imported_messages_mention_as_all_others<F: Fixture>(fixture: &F) {
    const POSITION: u64 = 5_000_000;
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    writer.apply(Batch { through: Seq::new(POSITION), ..Batch::default() }).await.unwrap();
    let to_bob = |seq| mentioning(posted("a", seq), &["bob", "carl"]);
    store_all(&mut *writer, [to_bob(POSITION + 1), added("a", POSITION + 2, "bob", Role::Member)]).await;
    let history = vec![created("a", 1, "bob"), to_bob(3), added("a", 4, "dora", Role::Member)];
    assert_eq!(writer.import(history[1..].to_vec()).await.unwrap().stored, 2);
    assert_eq!(mentions(&*store, "bob").await, [""; 0]);
    // The team is gone through again.
    assert_eq!(writer.import(history.clone()).await.unwrap().stored, 1);
    let expected = [format!("a {}", POSITION + 1), "a 3".to_owned()];
    assert_eq!(mentions(&*store, "bob").await, expected);

    // A conflict leaves nothing behind.
    let conflicting = vec![to_bob(5), mentioning(under(posted("a", 6), "c3"), &["bob"])];
    assert_eq!(writer.import(conflicting).await.unwrap().conflicts.len(), 1);
    assert_eq!(writer.import(history).await.unwrap().present, 3);
    assert_eq!(mentions(&*store, "bob").await, expected);
}

/// A message that the store refuses mentions nobody, and its neighbours do.
pub async fn a_refused_message_mentions_nobody<F: Fixture>(fixture: &F) {
    const REFUSED: &str = "refuse this";
    let store = fixture.open().await;
    fixture.refuse_body(REFUSED).await;
    let mut writer = claim(&*store, P0).await;
    let to_ann = |seq| mentioning(posted("a", seq), &["ann"]);
    let refused = mentioning(saying(posted("a", 3), REFUSED), &["ann"]);
    let applied = writer.apply(batch([created("a", 1, "ann"), to_ann(2), refused, to_ann(4)])).await.unwrap();
    assert_eq!(applied.dead_letters, [(Seq::new(3), DeadLetterReason::Refused)]);
    assert_eq!(mentions(&*store, "ann").await, ["a 4", "a 2"]);
}

/// One question for many users, of whom some are asked for twice and some have no name.
pub async fn names_of_many_users_are_read_at_once<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let members = (2..=1_500).map(|seq| named("a", seq, &format!("u{seq}"), &format!("User {seq}")));
    let nameless = added("a", 1_501, "nameless", Role::Member);
    let renamed = named("b", 1_502, "u2", "Another name");
    store_all(&mut *writer, [created("a", 1, "ann")].into_iter().chain(members).chain([nameless, renamed])).await;

    let asked: Vec<UserId> = (2..=1_000).map(|number| user(&format!("u{number}"))).collect();
    let others = ["nameless", "nobody", "ann", "u2"].map(user);
    let mut found = store.user_names(&[asked.clone(), others.to_vec()].concat()).await.unwrap();
    found.sort_by_key(|(user, _)| asked.iter().position(|asked| asked == user));
    let shown: Vec<(UserId, String)> = found.into_iter().map(|(user, name)| (user, name.as_str().to_owned())).collect();
    let expected = (2..=1_000).map(|number| {
        let name = if number == 2 { "Another name".to_owned() } else { format!("User {number}") };
        (user(&format!("u{number}")), name)
    });
    assert!(shown.into_iter().eq(expected));
    assert_eq!(store.user_names(&[]).await.unwrap(), []);
}

/// All messages that mention `user_id`, as team and position.
async fn mentions<S: EventStore + ?Sized>(store: &S, user_id: &str) -> Vec<String> {
    let page = store.list_mentions(&user(user_id), None, 1_000).await.unwrap();
    page.items.iter().map(|message| format!("{} {}", message.team, message.seq)).collect()
}
