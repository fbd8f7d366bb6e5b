//! Retries, repeats, and what stands already.

use huddle_domain::Role;
use huddle_proto::gateway::v1::ErrorCode;

use crate::support::{Caller, Directory};

const OLGA: Caller = Caller::User("olga");

#[tokio::test]
async fn a_change_that_is_retried_with_its_client_id_happens_once() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;

    let added = directory.add(OLGA, "team", "zoe", Role::Member, "add").await.unwrap();
    let removed = directory.remove(OLGA, "team", "zoe", "remove").await.unwrap();
    // Late: the change is undone by now, and stays undone.
    assert_eq!(directory.add(OLGA, "team", "zoe", Role::Member, "add").await, Ok(added));
    assert_eq!(directory.role("team", "zoe").await, None);
    assert_eq!(directory.remove(OLGA, "team", "zoe", "remove").await, Ok(removed));

    let renamed = directory.rename(OLGA, "team", "Another", "rename").await.unwrap();
    assert_eq!(directory.rename(OLGA, "team", "Another", "rename").await, Ok(renamed));
    let promoted = directory.change_role(OLGA, "team", "mia", Role::Admin, "promote").await.unwrap();
    assert_eq!(directory.change_role(OLGA, "team", "mia", Role::Admin, "promote").await, Ok(promoted));
    let left = directory.remove(Caller::User("max"), "team", "max", "leave").await.unwrap();
    assert_eq!(directory.remove(Caller::User("max"), "team", "max", "leave").await, Ok(left));
    let archived = directory.archive(OLGA, "team", "archive").await.unwrap();
    assert_eq!(directory.archive(OLGA, "team", "archive").await, Ok(archived));
    assert_eq!(directory.rename(OLGA, "team", "Another", "rename").await, Ok(renamed));
    assert_eq!(directory.last_seq("team").await, Some(archived.0));
}

#[tokio::test]
async fn the_same_client_id_with_other_content_is_a_conflict_unless_someone_else_used_it() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    directory.rename(OLGA, "team", "One", "key").await.unwrap();
    let before = directory.last_seq("team").await;
    assert_eq!(directory.rename(OLGA, "team", "Two", "key").await, Err(ErrorCode::Conflict));
    assert_eq!(directory.archive(OLGA, "team", "key").await, Err(ErrorCode::Conflict));
    assert_eq!(directory.create(Caller::Service, "team", "olga", "key").await.unwrap_err(), ErrorCode::Conflict);
    assert_eq!(directory.last_seq("team").await, before);

    directory.rename(Caller::User("adam"), "team", "Two", "key").await.unwrap();
    directory.rename(Caller::Service, "team", "Three", "key").await.unwrap();
    directory.create(OLGA, "other", "olga", "key").await.unwrap();
}

#[tokio::test]
async fn what_is_in_force_already_succeeds_and_publishes_nothing() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let before = directory.last_seq("team").await;
    let nothing = Ok((0, true));
    assert_eq!(directory.rename(OLGA, "team", "A team", "").await, nothing);
    assert_eq!(directory.add(OLGA, "team", "mia", Role::Member, "").await, nothing);
    assert_eq!(directory.remove(OLGA, "team", "nobody", "").await, nothing);
    assert_eq!(directory.change_role(OLGA, "team", "adam", Role::Admin, "").await, nothing);
    assert_eq!(directory.last_seq("team").await, before);
}
