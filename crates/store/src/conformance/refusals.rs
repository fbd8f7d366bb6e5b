//! What cannot be applied is put aside with its reason, and never keeps its neighbours from being applied.

use huddle_domain::{EventKind, Role, Seq, UnixMillis};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, P1, added, batch, created, event, from, named, posted, saying, store_all, team, under, user},
};
use crate::{Batch, BatchItem, DeadLetter, DeadLetterReason, EventStore};

/// A key happens once, for good: in a later batch, in the same one, with the same content and with other.
pub async fn a_late_duplicate_becomes_a_dead_letter<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [under(posted("a", 1), "once"), posted("a", 2)]).await;

    let of_other_kind = event("a", 6, EventKind::MemberAdded { user: user("eve"), role: Role::Owner, name: None });
    let applied = writer
        .apply(batch([
            under(posted("a", 3), "once"),
            under(saying(posted("a", 4), "something else"), "once"),
            posted("a", 5),
            under(of_other_kind, "once"),
            under(posted("a", 7), "twice"),
            under(posted("a", 8), "twice"),
        ]))
        .await
        .unwrap();
    assert_eq!((applied.through, applied.stored), (Seq::new(8), 2));
    let late = |seq| (Seq::new(seq), DeadLetterReason::LateDuplicate);
    assert_eq!(applied.dead_letters, [late(3), late(4), late(6), late(8)]);
    assert_eq!(stored(&*store, "a").await, [1, 2, 5, 7]);
    // What did not happen has no effect on who is a member either.
    assert_eq!(store.list_members(&team("a"), None, 10).await.unwrap().items, []);

    let letters = fixture.dead_letters(P0).await;
    assert_eq!(letters.iter().map(|letter| letter.seq.get()).collect::<Vec<_>>(), [3, 4, 6, 8]);
    assert!(letters.iter().all(|letter| letter.reason == DeadLetterReason::LateDuplicate));
    assert!(letters.iter().all(|letter| letter.team == Some(team("a")) && !letter.detail.is_empty()));
}

/// Another event at a stored position is an alarm, never an overwriting.
pub async fn a_taken_position_becomes_a_dead_letter_and_the_first_event_stays<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    store_all(&mut *claim(&*store, P0).await, [saying(posted("a", 5), "the first"), posted("a", 6)]).await;

    // A second partition with the same team in it is what a log that started again looks like.
    let mut writer = claim(&*store, P1).await;
    let applied = writer
        .apply(batch([
            posted("b", 4),
            under(saying(posted("a", 5), "another"), "another"),
            saying(posted("a", 6), "the same key"),
            posted("b", 7),
        ]))
        .await
        .unwrap();
    assert_eq!((applied.through, applied.stored), (Seq::new(7), 2));
    let taken = |seq| (Seq::new(seq), DeadLetterReason::SeqTaken);
    assert_eq!(applied.dead_letters, [taken(5), taken(6)]);
    let first = store.message(&team("a"), Seq::new(5), None).await.unwrap().unwrap();
    assert_eq!(first.body.as_str(), "the first");
    assert_eq!(stored(&*store, "b").await, [4, 7]);
    assert!(fixture.dead_letters(P1).await.iter().all(|letter| letter.reason == DeadLetterReason::SeqTaken));
}

/// The very same event at the very same position is no surprise to a store that was restored in part.
pub async fn the_same_event_again_is_neither_stored_nor_a_dead_letter<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events = [created("a", 1, "ann"), posted("a", 2)];
    store_all(&mut *claim(&*store, P0).await, events.clone()).await;
    let mut writer = claim(&*store, P1).await;
    let [first, second] = events;
    let applied = writer.apply(batch([first, second, posted("a", 3)])).await.unwrap();
    assert_eq!((applied.through, applied.stored, applied.dead_letters.len()), (Seq::new(3), 1, 0));
    assert_eq!(stored(&*store, "a").await, [1, 2, 3]);
}

/// Where the store itself refuses a row, the rows around it are stored, in order, with all that follows from them.
pub async fn refused_content_does_not_block_its_neighbours<F: Fixture>(fixture: &F) {
    const REFUSED: &str = "refuse this";
    let store = fixture.open().await;
    fixture.refuse_body(REFUSED).await;
    let mut writer = claim(&*store, P0).await;
    let refused_seqs = [2, 3, 57, 100];
    let mut events: Vec<_> = (1..=100).map(|seq| posted("a", seq)).collect();
    for seq in refused_seqs {
        events[seq - 1] = saying(events[seq - 1].clone(), REFUSED);
    }
    events[0] = created("a", 1, "ann");
    events[19] = named("a", 20, "bob", "Bob");
    events[59] = event("a", 60, EventKind::MemberRoleChanged { user: user("bob"), role: Role::Admin });
    events[60] = under(posted("a", 61), "c59");

    let applied = writer.apply(batch(events)).await.unwrap();
    assert_eq!((applied.through, applied.stored), (Seq::new(100), 95));
    let refused = |seq| (Seq::new(seq), DeadLetterReason::Refused);
    let late = (Seq::new(61), DeadLetterReason::LateDuplicate);
    assert_eq!(applied.dead_letters, [refused(2), refused(3), refused(57), late, refused(100)]);
    let expected: Vec<u64> = (1..=100).filter(|seq| ![2, 3, 57, 61, 100].contains(seq)).collect();
    assert_eq!(stored(&*store, "a").await, expected);
    let members = store.list_members(&team("a"), None, 10).await.unwrap().items;
    let shown: Vec<_> = members.iter().map(|member| (member.user.as_str(), member.role)).collect();
    assert_eq!(shown, [("ann", Role::Owner), ("bob", Role::Admin)]);
    assert_eq!(members[1].name.as_ref().unwrap().as_str(), "Bob");

    let letters = fixture.dead_letters(P0).await;
    assert_eq!(letters.len(), 5);
    for letter in letters {
        assert!(!letter.payload.is_empty(), "what was accepted and refused here is kept");
        assert!(!letter.detail.contains(REFUSED), "a reason holds nothing of the payload");
    }
    store_all(&mut *writer, [posted("a", 101)]).await;
}

/// What is dead on arrival is kept as it came.
pub async fn dead_letters_of_a_batch_are_recorded<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let letter = |seq, team_id: Option<&str>, payload: &[u8]| DeadLetter {
        seq: Seq::new(seq),
        time: UnixMillis(1_700_000_000_000),
        team: team_id.map(team),
        reason: DeadLetterReason::Undecodable,
        detail: "the bytes are not an event".to_owned(),
        payload: payload.to_vec(),
    };
    let bytes: Vec<u8> = (0..=255).collect();
    let with_nul = DeadLetter { detail: "a\0b".to_owned(), ..letter(6, None, b"") };
    let letters = [letter(2, Some("a"), &bytes), letter(4, None, &[]), with_nul];
    let [first, second, third] = letters.clone().map(BatchItem::DeadLetter);
    let event = |seq| BatchItem::Event(posted("a", seq));
    let items = vec![event(1), first, event(3), second, event(5), third];
    let applied = writer.apply(Batch { items, through: Seq::new(6), ..Batch::default() }).await.unwrap();

    assert_eq!((applied.through, applied.stored), (Seq::new(6), 3));
    let undecodable = |seq| (Seq::new(seq), DeadLetterReason::Undecodable);
    assert_eq!(applied.dead_letters, [undecodable(2), undecodable(4), undecodable(6)]);
    let recorded = fixture.dead_letters(P0).await;
    assert_eq!(recorded[..2], letters[..2]);
    assert_eq!((recorded.len(), recorded[2].seq), (3, Seq::new(6)));
    assert_eq!(fixture.dead_letters(P1).await, []);
}

/// The same client id is another key in another team, and from another sender.
pub async fn keys_of_other_teams_and_senders_do_not_collide<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let same = |event| under(event, "same");
    store_all(
        &mut *writer,
        [
            same(posted("a", 1)),
            same(from(posted("a", 2), "bob")),
            same(posted("b", 3)),
            same(from(added("b", 4, "carl", Role::Member), "bob")),
        ],
    )
    .await;
    assert_eq!(stored(&*store, "a").await, [1, 2]);
    assert_eq!(stored(&*store, "b").await, [3, 4]);
}

async fn stored<S: EventStore + ?Sized>(store: &S, team_id: &str) -> Vec<u64> {
    let page = store.list_events(&team(team_id), Seq::ZERO, 1_000, None).await.unwrap();
    page.items.iter().map(|event| event.seq.get()).collect()
}
