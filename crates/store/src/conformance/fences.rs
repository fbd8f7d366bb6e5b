//! Reads that must not miss anything up to a position.

use huddle_domain::{Partition, Role, Seq};

use super::{
    Fixture,
    fixture::{Store, claim},
    samples::{P0, P1, added, created, posted, store_all, team, user},
};
use crate::{Fence, MessagePosition, MessageQuery, Order, StoreError};

/// Says for each read how far the store was when it was too far behind; `None` for a read that was made.
async fn behind(store: &dyn Store, partition: Partition, seq: u64, team_id: &str) -> Vec<Option<u64>> {
    let fence = Some(Fence { partition, seq: Seq::new(seq) });
    let (team, ann) = (team(team_id), user("ann"));
    let query = MessageQuery { position: MessagePosition::Newest, limit: 10, order: Order::NewestFirst };
    vec![
        outcome(store.list_events(&team, Seq::ZERO, 10, fence).await),
        outcome(store.list_messages(&team, query, fence).await),
        outcome(store.message(&team, Seq::new(2), fence).await),
        outcome(store.team(&team, fence).await),
        outcome(store.membership(&team, &ann, fence).await),
        outcome(store.memberships(&team, &[ann], fence).await),
        outcome(store.owner_count(&team, fence).await),
    ]
}

fn outcome<T>(read: Result<T, StoreError>) -> Option<u64> {
    match read {
        Ok(_) => None,
        Err(StoreError::Behind { stored }) => Some(stored.get()),
        Err(error) => panic!("{error}"),
    }
}

/// A read sees what its fence names, or fails: also where it finds nothing, and where nothing ever was.
pub async fn a_read_behind_its_fence_fails_with_how_far_the_store_is<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert_eq!(behind(&*store, P0, 1, "a").await, [Some(0); 7], "no partition ever had an owner");
    let mut writer = claim(&*store, P0).await;
    store_all(&mut *writer, [created("a", 1, "ann"), posted("a", 2), posted("b", 3)]).await;
    for (team_id, what) in [("a", "a team with events"), ("nobody", "a team without any")] {
        assert_eq!(behind(&*store, P0, 3, team_id).await, [None; 7], "{what}");
        assert_eq!(behind(&*store, P0, 4, team_id).await, [Some(3); 7], "{what}");
        assert_eq!(behind(&*store, P1, 1, team_id).await, [Some(0); 7], "{what}, and another partition");
    }
    assert!(StoreError::Behind { stored: Seq::new(3) }.is_retryable());
    store_all(&mut *writer, [posted("b", 4)]).await;
    assert_eq!(behind(&*store, P0, 4, "a").await, [None; 7]);
}

/// A fence changes nothing about what a read brings.
pub async fn a_read_with_a_fence_brings_what_it_brings_without<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut writer = claim(&*store, P0).await;
    let members = [created("a", 1, "ann"), added("a", 2, "bob", Role::Owner)];
    store_all(&mut *writer, members.into_iter().chain((3..=300).map(|seq| posted("a", seq)))).await;
    let fence = Some(Fence { partition: P0, seq: Seq::new(300) });
    let (a, ann) = (team("a"), user("ann"));
    for (after, limit) in [(0, 1), (0, 100), (150, 149), (150, 150), (150, 151), (300, 10)] {
        let read = async |fence| store.list_events(&a, Seq::new(after), limit, fence).await.unwrap();
        assert_eq!(read(fence).await, read(None).await);
    }
    for position in [MessagePosition::Newest, MessagePosition::Oldest, MessagePosition::Around(Seq::new(9))] {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let query = MessageQuery { position, limit: 20, order };
            let read = async |fence| store.list_messages(&a, query, fence).await.unwrap();
            assert_eq!(read(fence).await, read(None).await);
        }
    }
    for seq in [2, 3, 301] {
        let read = async |fence| store.message(&a, Seq::new(seq), fence).await.unwrap();
        assert_eq!(read(fence).await, read(None).await);
    }
    assert_eq!(store.team(&a, fence).await.unwrap(), store.team(&a, None).await.unwrap());
    assert_eq!(store.membership(&a, &ann, fence).await.unwrap(), store.membership(&a, &ann, None).await.unwrap());
    assert_eq!(store.owner_count(&a, fence).await.unwrap(), 2);
}
