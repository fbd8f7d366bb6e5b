//! A store that went back: nothing is judged by what it was before.

use std::time::Duration;

use huddle_domain::{Partition, Role, Seq};
use huddle_proto::{
    directory::v1::{GetMembershipRequest, GetMembershipsRequest, RemoveMemberRequest},
    gateway::v1::ErrorCode,
};
use huddle_store::PartitionStore as _;

use crate::{
    backend::{as_service, eventually, token, with, within},
    support::{Caller, Directory, code},
};

const DEADLINE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn memberships_are_never_read_and_changes_never_judged_from_a_store_that_went_back() {
    let directory = Directory::start().await;
    let storing = directory.backend.keep_storing();
    directory.found("team").await;
    let before = directory.last_seq("team").await.unwrap();
    let (min_seq, is_stored) = directory.add(Caller::Service, "team", "zoe", Role::Admin, "add").await.unwrap();
    assert!(is_stored);
    let of_zoe = || GetMembershipRequest { team: "team".to_owned(), user: "zoe".to_owned(), min_seq };
    let of_all =
        || GetMembershipsRequest { team: "team".to_owned(), users: vec!["zoe".to_owned(), "mia".to_owned()], min_seq };
    let mut client = directory.client();
    client.get_membership(as_service(of_zoe())).await.unwrap();

    drop(storing);
    eventually("persistence is gone", async || {
        directory.backend.store.claim(Partition::new(0)).await.unwrap().is_some()
    })
    .await;
    directory.backend.go_back_to(Seq::new(before)).await;
    assert_eq!(directory.role("team", "zoe").await, None, "the store does not know of her");
    let removal =
        || RemoveMemberRequest { team: "team".to_owned(), user: "mia".to_owned(), client_id: "remove".to_owned() };
    let by_zoe = || {
        let mut request = with(&token("zoe"), of_zoe());
        request.set_timeout(DEADLINE);
        request
    };
    for _ in 0..2 {
        let refusals = [
            client.get_membership(within(DEADLINE, of_zoe())).await.map(drop),
            client.get_membership(by_zoe()).await.map(drop),
            client.get_memberships(within(DEADLINE, of_all())).await.map(drop),
            client.remove_member(within(DEADLINE, removal())).await.map(drop),
        ];
        for refusal in refusals {
            assert_eq!(code(&refusal.unwrap_err()), ErrorCode::NotYetStored);
        }
    }
    assert_eq!(directory.last_seq("team").await, Some(min_seq), "nothing was published");

    let _storing = directory.backend.keep_storing();
    let found = client.get_memberships(as_service(of_all())).await.unwrap().into_inner();
    assert_eq!(found.memberships.len(), 2);
    assert!(directory.remove(Caller::User("zoe"), "team", "mia", "remove").await.unwrap().1);
}
