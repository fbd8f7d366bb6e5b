//! Creation: one team of each id, whoever tries, and however often.

use futures_util::future::join_all;
use huddle_domain::Role;
use huddle_proto::gateway::v1::ErrorCode;

use crate::support::{Caller, Directory};

const CALLS: usize = 20;

#[tokio::test]
async fn of_many_who_create_a_team_at_once_one_does() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    let owners: Vec<String> = (0..CALLS).map(|number| format!("owner-{number}")).collect();
    let calls = owners.iter().map(|owner| directory.create(Caller::Service, "contested", owner, ""));
    let outcomes = join_all(calls).await;

    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        if number == winner {
            assert!(outcome.unwrap().stored);
        } else {
            assert_eq!(outcome.unwrap_err(), ErrorCode::TeamExists);
        }
        let expected = if number == winner { Some(Role::Owner) } else { None };
        assert_eq!(directory.role("contested", &owners[number]).await, expected);
    }
}

#[tokio::test]
async fn a_creation_that_is_repeated_at_once_and_later_makes_one_team() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    for team in ["named", ""] {
        let caller = Caller::User("ada");
        let client_id = format!("once-{team}");
        let calls = (0..CALLS).map(|_| directory.create(caller, team, "", &client_id));
        let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        let again = directory.create(caller, team, "ada", &client_id).await.unwrap();
        for answer in answers {
            assert_eq!(answer, again);
        }
        let made = again.team.unwrap();
        assert_eq!((made.created_seq, made.name.as_str(), made.archived), (again.seq, "A team", false));
        assert!(made.created_time_ms > 1_700_000_000_000);
        assert_eq!(directory.role(&made.team, "ada").await, Some(Role::Owner));
    }
}

#[tokio::test]
async fn two_teams_without_an_id_are_two() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    let (first, second) = tokio::join!(
        directory.create(Caller::User("ada"), "", "", ""),
        directory.create(Caller::User("ada"), "", "", "")
    );
    assert_ne!(first.unwrap().team.unwrap().team, second.unwrap().team.unwrap().team);
}

#[tokio::test]
async fn only_the_service_creates_teams_for_others() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    for (caller, owner, refusal) in [
        (Caller::User("ada"), "bob", ErrorCode::Forbidden),
        (Caller::Service, "", ErrorCode::InvalidId),
        (Caller::Nobody, "ada", ErrorCode::InvalidToken),
        (Caller::Expired("ada"), "ada", ErrorCode::TokenExpired),
    ] {
        assert_eq!(directory.create(caller, "team", owner, "").await.unwrap_err(), refusal, "{caller:?}");
    }
    assert_eq!(directory.last_seq("team").await, None);
    directory.create(Caller::Service, "team", "bob", "").await.unwrap();
    assert_eq!(directory.role("team", "bob").await, Some(Role::Owner));
}
