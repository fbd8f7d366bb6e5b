//! Teams and members as the events left them.

use huddle_domain::{EventKind, Role, Seq, UserId};

use super::{
    Fixture,
    fixture::claim,
    samples::{P0, P1, added, created, event, name, named, posted, store_all, team, user},
};
use crate::{DirectoryStore, Membership, Team};

/// Creation, renaming, archiving; an archived team stays readable.
pub async fn a_team_is_created_renamed_and_archived<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let creation = created("a", 3, "ann");
    let mut expected = Team {
        team: team("a"),
        name: name("Team a"),
        archived: false,
        created_seq: Seq::new(3),
        created_time: creation.time,
    };
    store_all(&mut *writer, [creation]).await;
    assert_eq!(store.team(&team("a"), None).await.unwrap(), Some(expected.clone()));
    let owner = store.membership(&team("a"), &user("ann"), None).await.unwrap();
    assert_eq!(owner, Some(Membership { role: Role::Owner, team_archived: false }));

    store_all(&mut *writer, [event("a", 4, EventKind::TeamRenamed { name: name("New name") })]).await;
    expected.name = name("New name");
    assert_eq!(store.team(&team("a"), None).await.unwrap(), Some(expected.clone()));

    store_all(&mut *writer, [posted("a", 5), event("a", 6, EventKind::TeamArchived)]).await;
    expected.archived = true;
    assert_eq!(store.team(&team("a"), None).await.unwrap(), Some(expected.clone()));
    let owner = store.membership(&team("a"), &user("ann"), None).await.unwrap();
    assert_eq!(owner, Some(Membership { role: Role::Owner, team_archived: true }));
    let listed = store.list_user_teams(&user("ann"), None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|item| (&item.team, item.role)).collect::<Vec<_>>(), [(&expected, Role::Owner)]);
    assert_eq!(store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items.len(), 4);
}

/// One question for many users, of whom some are asked for twice, some are members of another team, and some of none.
pub async fn memberships_of_many_users_are_read_at_once<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let members = (2..=1_500).map(|seq| added("a", seq, &format!("u{seq}"), Role::Member));
    let elsewhere = [created("b", 1_501, "eve"), added("b", 1_502, "u2", Role::Owner)];
    store_all(&mut *writer, [created("a", 1, "ann")].into_iter().chain(members).chain(elsewhere)).await;

    let asked: Vec<UserId> = (2..=998).map(|number| user(&format!("u{number}"))).collect();
    let others = ["eve", "nobody", "u2"].map(user);
    let mut found = store.memberships(&team("a"), &[asked.clone(), others.to_vec()].concat(), None).await.unwrap();
    found.sort_by_key(|(user, _)| asked.iter().position(|asked| asked == user));
    let expected = Membership { role: Role::Member, team_archived: false };
    assert!(found.into_iter().eq(asked.into_iter().map(|user| (user, expected))));
    assert_eq!(store.memberships(&team("a"), &[], None).await.unwrap(), []);
    assert_eq!(store.memberships(&team("nowhere"), &[user("ann")], None).await.unwrap(), []);
}

/// The latest event about a member counts, within a batch as over several.
pub async fn a_member_comes_changes_and_goes<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let removed = |seq, id| event("a", seq, EventKind::MemberRemoved { user: user(id) });
    let changed = |seq, id, role| event("a", seq, EventKind::MemberRoleChanged { user: user(id), role });

    store_all(&mut *writer, [created("a", 1, "ann"), added("a", 2, "bob", Role::Member)]).await;
    assert_eq!(members(&*store).await, [("ann".to_owned(), Role::Owner, 1), ("bob".to_owned(), Role::Member, 2)]);

    // Added again: the role counts, the membership is the old one.
    store_all(&mut *writer, [changed(3, "bob", Role::Admin), added("a", 4, "bob", Role::Owner)]).await;
    assert_eq!(members(&*store).await[1], ("bob".to_owned(), Role::Owner, 2));
    assert_eq!(store.owner_count(&team("a"), None).await.unwrap(), 2);

    // Gone and back within one batch: a new membership.
    store_all(
        &mut *writer,
        [removed(5, "bob"), added("a", 6, "bob", Role::Member), removed(7, "ann"), changed(8, "ann", Role::Admin)],
    )
    .await;
    assert_eq!(members(&*store).await, [("bob".to_owned(), Role::Member, 6)]);
    assert_eq!(store.membership(&team("a"), &user("ann"), None).await.unwrap(), None);
    assert_eq!(store.list_user_teams(&user("ann"), None, 10).await.unwrap().items, []);
    assert_eq!(store.owner_count(&team("a"), None).await.unwrap(), 0);

    // Removing one who is no member is an event without an effect.
    store_all(&mut *writer, [removed(9, "nobody"), removed(10, "bob"), removed(11, "bob")]).await;
    assert_eq!(members(&*store).await, []);
}

/// A log that was lost does not let anyone take over a team that is stored.
pub async fn a_second_creation_takes_nothing_over<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [created("a", 1, "ann"), created("a", 2, "eve"), posted("a", 3)]).await;
    assert_eq!(members(&*store).await, [("ann".to_owned(), Role::Owner, 1)]);
    assert_eq!(store.team(&team("a"), None).await.unwrap().unwrap().created_seq, Seq::new(1));
}

/// A name is the user's, and the newest one counts, whichever team and partition it came through.
pub async fn the_newest_name_of_a_user_is_shown_everywhere<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut of_p0 = claim(&*store, P0).await;
    let mut of_p1 = claim(&*store, P1).await;
    let shown = async |team_id: &str| {
        let members = store.list_members(&team(team_id), None, 10).await.unwrap().items;
        members.into_iter().map(|member| member.name.map(|name| name.as_str().to_owned())).collect::<Vec<_>>()
    };
    store_all(&mut *of_p0, [created("a", 10, "ann"), named("a", 11, "bob", "Bob"), named("a", 12, "bob", "Bobby")])
        .await;
    assert_eq!(shown("a").await, [None, Some("Bobby".to_owned())]);
    // An older name from a partition that lags behind.
    store_all(&mut *of_p1, [named("b", 5, "bob", "Robert"), added("b", 6, "carl", Role::Member)]).await;
    assert_eq!(shown("b").await, [Some("Bobby".to_owned()), None]);
    store_all(&mut *of_p1, [named("b", 20, "bob", "Rob"), named("b", 21, "ann", "Ann")]).await;
    assert_eq!(shown("a").await, [Some("Ann".to_owned()), Some("Rob".to_owned())]);
    // Added again without a name: the known one stays.
    store_all(&mut *of_p1, [added("b", 22, "bob", Role::Admin)]).await;
    assert_eq!(shown("a").await[1], Some("Rob".to_owned()));
}

/// By bytes, not by any language's alphabet.
pub async fn members_and_teams_are_paged_in_byte_order<F: Fixture>(fixture: &F) {
    const IDS: [&str; 8] = ["-", "10", "9", "B", "Z", "_", "a", "aa"];
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let members = (1..).zip(IDS.iter().rev()).map(|(seq, id)| added("team", seq, id, Role::Member));
    let teams = (101..).zip(IDS.iter().rev()).map(|(seq, id)| created(id, seq, "user"));
    let creation = created("team", 100, "a");
    store_all(&mut *writer, members.chain([creation]).chain(teams)).await;

    for limit in [1, 3, 7, 8, 9] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list_members(&team("team"), cursor.as_ref(), limit).await.unwrap();
            cursor = page.items.last().map(|member| member.user.clone());
            found.extend(page.items.into_iter().map(|member| member.user.as_str().to_owned()));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(found, IDS, "members in pages of {limit}");

        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list_user_teams(&user("user"), cursor.as_ref(), limit).await.unwrap();
            cursor = page.items.last().map(|item| item.team.team.clone());
            found.extend(page.items.into_iter().map(|item| item.team.team.as_str().to_owned()));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(found, IDS, "teams in pages of {limit}");
    }
}

/// No such team, no such member: nothing, and no error.
pub async fn what_is_not_there_is_not_found<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    // A member of a team whose creation is not known is no member: what a team is comes from its creation.
    store_all(&mut *writer, [added("unknown", 1, "ann", Role::Owner), posted("unknown", 2)]).await;
    for team_id in ["unknown", "never-heard-of"] {
        assert_eq!(store.team(&team(team_id), None).await.unwrap(), None);
        assert_eq!(store.membership(&team(team_id), &user("ann"), None).await.unwrap(), None);
    }
    assert_eq!(store.owner_count(&team("never-heard-of"), None).await.unwrap(), 0);
    let members = store.list_members(&team("never-heard-of"), None, 10).await.unwrap();
    assert_eq!((members.items, members.has_more), (Vec::new(), false));
    assert_eq!(store.list_user_teams(&user("ann"), None, 10).await.unwrap().items, []);
}

async fn members<S: DirectoryStore + ?Sized>(store: &S) -> Vec<(String, Role, u64)> {
    let page = store.list_members(&team("a"), None, 100).await.unwrap();
    let shown = |member: crate::Member| (member.user.as_str().to_owned(), member.role, member.since_seq.get());
    page.items.into_iter().map(shown).collect()
}
