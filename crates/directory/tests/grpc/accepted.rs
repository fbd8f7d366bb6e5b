//! Changes while the store lags or is silent: accepted or refused, in time, and never judged by what is old.

use std::time::{Duration, Instant};

use huddle_domain::Role;
use huddle_proto::{
    ERROR_CODE_METADATA,
    directory::v1::{AddMemberRequest, GetMembershipRequest},
    gateway::v1::ErrorCode,
};

use crate::{
    backend::{as_service, eventually, within},
    support::{Caller, Directory, code},
};

const DEADLINE: Duration = Duration::from_secs(1);

fn addition(user: &str, client_id: &str) -> AddMemberRequest {
    AddMemberRequest {
        team: "team".to_owned(),
        user: user.to_owned(),
        role: 0,
        name: String::new(),
        client_id: client_id.to_owned(),
    }
}

#[tokio::test]
async fn a_change_that_is_not_stored_in_time_is_accepted_and_follows() {
    let directory = Directory::start().await;
    let storing = directory.backend.keep_storing();
    directory.found("team").await;
    drop(storing);

    let start = Instant::now();
    let answer = directory.client().add_member(within(DEADLINE, addition("zoe", "add"))).await.unwrap().into_inner();
    assert!(answer.seq > 0 && !answer.stored && start.elapsed() < DEADLINE);
    // What comes next would be judged by what is old, so it is not.
    let status = directory.client().add_member(within(DEADLINE, addition("yan", ""))).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::NotYetStored);
    let membership = GetMembershipRequest { team: "team".to_owned(), user: "zoe".to_owned(), min_seq: answer.seq };
    let status = directory.client().get_membership(within(DEADLINE, membership.clone())).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::NotYetStored);

    let _storing = directory.backend.keep_storing();
    directory.client().get_membership(as_service(membership)).await.unwrap();
    let again = directory.client().add_member(as_service(addition("zoe", "add"))).await.unwrap().into_inner();
    assert_eq!((again.seq, again.stored), (answer.seq, true));
}

#[tokio::test]
async fn a_team_that_is_created_while_nothing_is_stored_is_there_later() {
    let directory = Directory::start().await;
    let created = directory.create(Caller::User("ada"), "team", "", "create").await.unwrap();
    assert!(!created.stored && created.seq > 0);
    let _storing = directory.backend.keep_storing();
    let again = directory.create(Caller::User("ada"), "team", "", "create").await.unwrap();
    assert_eq!((again.seq, again.stored), (created.seq, true));
    assert_eq!(directory.role("team", "ada").await, Some(Role::Owner));
}

#[tokio::test]
async fn every_call_answers_in_time_while_the_store_is_silent() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let before = directory.last_seq("team").await;
    directory.backend.cable.cut();
    let membership = GetMembershipRequest { team: "team".to_owned(), user: "mia".to_owned(), min_seq: 0 };
    let start = Instant::now();
    let (change, read) = tokio::join!(
        async { directory.client().add_member(within(DEADLINE, addition("zoe", ""))).await.unwrap_err() },
        async { directory.client().get_membership(within(DEADLINE, membership)).await.unwrap_err() },
    );
    assert!(start.elapsed() < 2 * DEADLINE);
    for status in [change, read] {
        assert_eq!(code(&status), ErrorCode::Unavailable);
        assert!(status.metadata().contains_key(ERROR_CODE_METADATA), "{status:?}");
    }
    assert_eq!(directory.last_seq("team").await, before);
    directory.backend.cable.mend();
    eventually("changes work again", async || {
        directory.client().add_member(as_service(addition("zoe", "late"))).await.is_ok()
    })
    .await;
    assert!(directory.metrics.encode().unwrap().contains(r#"method="AddMember",code="UNAVAILABLE""#));
}

#[tokio::test]
async fn while_the_log_is_silent_changes_are_refused_in_time_and_reads_are_served() {
    let mut directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    directory.backend.nats.node(0).pause().unwrap();
    let start = Instant::now();
    let status = directory.client().add_member(within(DEADLINE, addition("zoe", "add"))).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::Unavailable);
    assert!(status.metadata().contains_key(ERROR_CODE_METADATA) && start.elapsed() < DEADLINE, "{status:?}");
    assert_eq!(directory.role("team", "mia").await, Some(Role::Member));

    directory.backend.nats.node(0).resume().unwrap();
    eventually("changes work again", async || {
        directory.client().add_member(as_service(addition("zoe", "add"))).await.is_ok()
    })
    .await;
}
