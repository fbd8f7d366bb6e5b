//! Events that have a history elsewhere: under the positions that they bring, all of a call or none.

use std::time::Duration;

use huddle_domain::{Event, EventKind, Role, Seq};
use tokio::time::timeout;

use super::{
    Fixture, Store,
    fixture::claim,
    samples::{
        P0, added, after, batch, created, event, from, name, named, posted, saying, store_all, team, under, user,
    },
};
use crate::{Batch, DeadLetterReason, Imported, PartitionWriter};

/// Above all that is imported here.
const POSITION: u64 = 5_000_000;

/// Where the partition stands is not moved, and what lies far below it is read like everything else.
pub async fn imported_events_are_stored_below_the_position<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let events = [
        created("a", 7, "ann"),
        posted("a", 9),
        from(posted("a", 40), "bob"),
        posted("a", 1_000_000),
        posted("a", POSITION),
    ];
    let imported = writer.import(events.to_vec()).await.unwrap();
    assert_eq!(imported, Imported { stored: 5, present: 0, conflicts: Vec::new() });
    assert_eq!((writer.progress(), store.progress(P0).await.unwrap()), (Seq::new(POSITION), Seq::new(POSITION)));
    writer.confirm().await.unwrap();

    let keys: Vec<_> = events.iter().map(Event::key).collect();
    let mut found = store.find_sends(&keys).await.unwrap();
    found.sort_by_key(|event| event.seq);
    assert_eq!(found, events);
    assert_eq!(store.message(&team("a"), Seq::new(40), None).await.unwrap().unwrap().sender, user("bob"));
    let prev_seqs = [0, 7, 9, 40, 1_000_000];
    let chained: Vec<Event> =
        prev_seqs.into_iter().zip(events).map(|(prev_seq, event)| after(prev_seq, event)).collect();
    assert_eq!(store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items, chained);
    assert_eq!(store.list_teams(None, 10).await.unwrap().items, [team("a")]);
    assert_eq!(writer.import(Vec::new()).await.unwrap(), Imported::default());
}

/// In whole or in part; what happened meanwhile to teams and members is not undone.
pub async fn an_import_that_comes_again_changes_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let events = vec![created("a", 1, "ann"), named("a", 2, "bob", "Bob"), posted("a", 3)];
    assert_eq!(writer.import(events.clone()).await.unwrap().stored, 3);
    store_all(
        &mut *writer,
        [
            event("a", POSITION + 1, EventKind::MemberRemoved { user: user("bob") }),
            event("a", POSITION + 2, EventKind::TeamRenamed { name: name("New name") }),
        ],
    )
    .await;
    let again = writer.import(events.clone()).await.unwrap();
    assert_eq!(again, Imported { stored: 0, present: 3, conflicts: Vec::new() });
    let longer = writer.import([events, vec![posted("a", 4)]].concat()).await.unwrap();
    assert_eq!(longer, Imported { stored: 1, present: 3, conflicts: Vec::new() });
    assert_eq!(stored(&*store, "a").await, [1, 2, 3, 4, POSITION + 1, POSITION + 2]);
    assert_eq!(store.team(&team("a"), None).await.unwrap().unwrap().name, name("New name"));
    assert_eq!(store.membership(&team("a"), &user("bob"), None).await.unwrap(), None);
}

/// Another event at a position, a key at another position, a key twice in one call: each is named, the good events
/// around it are not stored either, and nothing becomes a dead letter.
pub async fn a_conflict_is_named_and_nothing_of_the_import_is_stored<F: Fixture>(fixture: &F) {
    use DeadLetterReason::{LateDuplicate, SeqTaken};
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    store_all(&mut *writer, [under(posted("a", POSITION + 1), "live")]).await;
    writer.import(vec![created("a", 1, "ann"), posted("a", 5), posted("a", 6)]).await.unwrap();
    let before = stored(&*store, "a").await;

    let taken = |seq| (Seq::new(seq), SeqTaken);
    let late = |seq| (Seq::new(seq), LateDuplicate);
    let calls = [
        (vec![posted("a", 4), under(posted("a", 5), "another"), posted("a", 7)], vec![taken(5)]),
        (vec![posted("a", 4), saying(posted("a", 5), "the same key"), posted("a", 6)], vec![taken(5)]),
        (vec![posted("a", 4), under(posted("a", 7), "live"), under(posted("a", 8), "c6")], vec![late(7), late(8)]),
        (vec![under(posted("a", 3), "twice"), under(posted("a", 4), "twice")], vec![late(4)]),
        (vec![created("b", 2, "eve"), from(posted("a", 6), "bob"), added("b", 7, "ann", Role::Member)], vec![taken(6)]),
    ];
    for (events, conflicts) in calls {
        let imported = writer.import(events).await.unwrap();
        assert_eq!(imported, Imported { stored: 0, present: 0, conflicts });
        assert_eq!(stored(&*store, "a").await, before);
    }
    assert_eq!(store.team(&team("b"), None).await.unwrap(), None);
    assert_eq!(store.list_teams(None, 10).await.unwrap().items, [team("a")]);
    assert_eq!(fixture.dead_letters(P0).await, []);
    // The writer is none the worse for it.
    assert_eq!(writer.import(vec![posted("a", 4)]).await.unwrap().stored, 1);
    store_all(&mut *writer, [posted("a", POSITION + 2)]).await;
}

/// A chunk whose caller stopped waiting is there as a whole or not at all, and importing it again settles it.
pub async fn an_import_that_is_cut_short_happens_whole_or_not_at_all<F: Fixture>(fixture: &F) {
    const CHUNK: u64 = 500;
    let store = fixture.open().await;
    drop(claim_moved(&*store).await);
    let mut first = 1;
    for patience_us in [0, 50, 200, 1_000, 3_000, 10_000, 30_000] {
        let mut writer = claim(&*store, P0).await;
        let events: Vec<Event> = (first..first + CHUNK).map(|seq| posted("a", seq)).collect();
        // Whether it was cut short or not is not what this is about.
        let _ = timeout(Duration::from_micros(patience_us), writer.import(events.clone())).await;
        drop(writer);

        // The next owner comes after whatever the last one had begun.
        let mut writer = claim(&*store, P0).await;
        let there = stored(&*store, "a").await;
        let last = there.last().copied().unwrap_or(0);
        assert!([first - 1, first - 1 + CHUNK].contains(&last), "{last} after {first}");
        assert!(there.into_iter().eq(1..=last));
        let imported = writer.import(events).await.unwrap();
        assert_eq!((imported.stored + imported.present, imported.conflicts), (500, Vec::new()));
        assert!([0, 500].contains(&imported.stored), "{}", imported.stored);
        first += CHUNK;
        assert!(stored(&*store, "a").await.into_iter().eq(1..first));
    }
}

/// Teams, members and names come of imported events as of any others, over several calls.
pub async fn imported_events_make_teams_and_members<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let creation = created("a", 3, "ann");
    let created_time = creation.time;
    let chunks = [
        vec![creation, named("a", 4, "bob", "Bob"), added("a", 5, "carl", Role::Admin), posted("a", 6)],
        vec![
            event("a", 7, EventKind::MemberRemoved { user: user("carl") }),
            event("a", 8, EventKind::MemberRoleChanged { user: user("bob"), role: Role::Owner }),
            event("a", 9, EventKind::TeamRenamed { name: name("Renamed") }),
            created("b", 3, "bob"),
            event("b", 5, EventKind::TeamArchived),
        ],
    ];
    for chunk in chunks {
        let count = chunk.len();
        assert_eq!(writer.import(chunk).await.unwrap().stored, count);
    }
    let found = store.team(&team("a"), None).await.unwrap().unwrap();
    assert_eq!((found.name, found.created_seq, found.created_time), (name("Renamed"), Seq::new(3), created_time));
    let members = store.list_members(&team("a"), None, 10).await.unwrap().items;
    let shown: Vec<_> = members.iter().map(|member| (member.user.as_str(), member.role, member.since_seq)).collect();
    assert_eq!(shown, [("ann", Role::Owner, Seq::new(3)), ("bob", Role::Owner, Seq::new(4))]);
    assert_eq!(members[1].name, Some(name("Bob")));
    let teams = store.list_user_teams(&user("bob"), None, 10).await.unwrap().items;
    let shown: Vec<_> = teams.iter().map(|item| (item.team.team.as_str(), item.team.archived)).collect();
    assert_eq!(shown, [("a", false), ("b", true)]);
}

/// An import that was broken off and is continued after live events: what happened last counts, not what came last.
pub async fn an_import_below_later_events_does_not_undo_them<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let renamed = |seq, text| event("a", seq, EventKind::TeamRenamed { name: name(text) });
    writer.import(vec![created("a", 1, "ann"), added("a", 2, "bob", Role::Member)]).await.unwrap();
    store_all(
        &mut *writer,
        [
            event("a", POSITION + 1, EventKind::MemberRemoved { user: user("bob") }),
            renamed(POSITION + 2, "The live name"),
            added("a", POSITION + 3, "carl", Role::Admin),
            created("b", POSITION + 4, "eve"),
        ],
    )
    .await;
    let rest = [
        event("a", 3, EventKind::MemberRoleChanged { user: user("bob"), role: Role::Admin }),
        added("a", 4, "bob", Role::Owner),
        renamed(5, "An old name"),
        added("a", 6, "carl", Role::Member),
        added("a", 7, "dora", Role::Member),
        posted("a", 8),
    ];
    // Some are there before others that precede them.
    assert_eq!(writer.import(rest[4..].to_vec()).await.unwrap().stored, 2);
    assert_eq!(writer.import(rest.to_vec()).await.unwrap(), Imported { stored: 4, present: 2, conflicts: Vec::new() });

    assert_eq!(store.team(&team("a"), None).await.unwrap().unwrap().name, name("The live name"));
    let members = store.list_members(&team("a"), None, 10).await.unwrap().items;
    let shown: Vec<_> = members.iter().map(|member| (member.user.as_str(), member.role, member.since_seq)).collect();
    let since = Seq::new;
    let expected = [("ann", Role::Owner, since(1)), ("carl", Role::Admin, since(6)), ("dora", Role::Member, since(7))];
    assert_eq!(shown, expected);
    assert_eq!(store.list_user_teams(&user("bob"), None, 10).await.unwrap().items, []);
    assert_eq!(store.owner_count(&team("b"), None).await.unwrap(), 1);
}

/// What comes after an import follows on it: a client goes on with the cursor that it has from elsewhere.
pub async fn live_events_follow_on_imported_ones<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let history = [created("a", 10, "ann"), posted("a", 20), posted("a", 30)];
    writer.import(history.to_vec()).await.unwrap();
    let live = [posted("a", POSITION + 1), posted("a", POSITION + 5)];
    store_all(&mut *writer, live.clone()).await;
    // A retry of what was sent elsewhere is the send that it repeats.
    let retry = writer.apply(batch([under(posted("a", POSITION + 6), "c20")])).await.unwrap();
    assert_eq!(retry.dead_letters, [(Seq::new(POSITION + 6), DeadLetterReason::LateDuplicate)]);

    let page = store.list_events(&team("a"), Seq::new(20), 10, None).await.unwrap();
    let [_, _, third] = history;
    let [fourth, fifth] = live;
    assert_eq!(page.items, [after(20, third), after(30, fourth), after(POSITION + 1, fifth)]);
}

/// Teams that had partitions of their own elsewhere may bring the same positions.
pub async fn imported_teams_may_share_positions<F: Fixture>(fixture: &F) {
    const TEAMS: [&str; 3] = ["a", "b", "c"];
    let store = fixture.open().await;
    let mut writer = claim_moved(&*store).await;
    let history = |team_id| [created(team_id, 1, "ann"), posted(team_id, 2), posted(team_id, 3)];
    writer.import(history("a").to_vec()).await.unwrap();
    // One of the three is there: which one must not be told by its positions.
    let imported = writer.import(TEAMS.map(history).concat()).await.unwrap();
    assert_eq!(imported, Imported { stored: 6, present: 3, conflicts: Vec::new() });
    for team_id in TEAMS {
        assert_eq!(stored(&*store, team_id).await, [1, 2, 3]);
    }
    let conflicting = vec![posted("a", 4), posted("b", 4), under(posted("c", 2), "other")];
    assert_eq!(writer.import(conflicting).await.unwrap().conflicts, [(Seq::new(2), DeadLetterReason::SeqTaken)]);
}

/// Claims the first partition and moves it to [`POSITION`], as the owner of a log that was advanced does.
async fn claim_moved(store: &dyn Store) -> Box<dyn PartitionWriter> {
    let mut writer = claim(store, P0).await;
    writer.apply(Batch { through: Seq::new(POSITION), ..Batch::default() }).await.unwrap();
    writer
}

async fn stored(store: &dyn Store, team_id: &str) -> Vec<u64> {
    let page = store.list_events(&team(team_id), Seq::ZERO, 100_000, None).await.unwrap();
    page.items.iter().map(|event| event.seq.get()).collect()
}
