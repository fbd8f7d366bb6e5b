//! Who may change what, and what no one may.

use futures_util::future::join_all;
use huddle_domain::Role;
use huddle_proto::{
    directory::v1::{AddMemberRequest, GetMembershipRequest, GetTeamRequest, ListMembersRequest, ListUserTeamsRequest},
    gateway::v1::ErrorCode,
};

use crate::{
    backend::event,
    support::{Caller, Directory, Outcome, code},
};

const OLGA: Caller = Caller::User("olga");
const ADAM: Caller = Caller::User("adam");
const MIA: Caller = Caller::User("mia");

/// Callers that never get further than the answer beside them.
const OUTSIDERS: [(Caller, ErrorCode); 6] = [
    (Caller::User("eve"), ErrorCode::NotFound),
    (Caller::User("mallory"), ErrorCode::NotFound),
    (Caller::User("stranger"), ErrorCode::NotFound),
    (Caller::Expired("olga"), ErrorCode::TokenExpired),
    (Caller::Revoked, ErrorCode::TokenRevoked),
    (Caller::Nobody, ErrorCode::InvalidToken),
];

/// Every change, made so that it would succeed for one who may.
async fn every_change(directory: &Directory, caller: Caller, team: &str) -> [Outcome; 5] {
    [
        directory.rename(caller, team, &format!("By {caller:?}").replace('"', ""), "").await,
        directory.add(caller, team, "new", Role::Member, "").await,
        directory.remove(caller, team, "max", "").await,
        directory.change_role(caller, team, "mia", Role::Admin, "").await,
        directory.archive(caller, team, "").await,
    ]
}

#[tokio::test]
async fn each_role_may_change_what_it_should_and_no_more() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.create(Caller::User("mallory"), "elsewhere", "", "").await.unwrap();
    let may = [true; 5];
    for (number, (caller, allowed)) in
        [(Caller::Service, may), (OLGA, may), (ADAM, [true, true, true, false, false]), (MIA, [false; 5])]
            .into_iter()
            .enumerate()
    {
        let team = format!("team-{number}");
        directory.found(&team).await;
        let before = directory.last_seq(&team).await;
        for (outsider, refusal) in OUTSIDERS {
            assert_eq!(every_change(&directory, outsider, &team).await, [Err(refusal); 5], "{outsider:?}");
        }
        assert_eq!(directory.last_seq(&team).await, before);

        for (outcome, allowed) in every_change(&directory, caller, &team).await.into_iter().zip(allowed) {
            match outcome {
                Ok((seq, stored)) => assert!(allowed && stored && seq > before.unwrap(), "{caller:?}"),
                Err(refusal) => assert!(!allowed && refusal == ErrorCode::Forbidden, "{caller:?} {refusal:?}"),
            }
        }
    }
}

#[tokio::test]
async fn only_the_service_gives_names_to_users() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let before = directory.last_seq("team").await;
    let named = |user: &str| AddMemberRequest {
        team: "team".to_owned(),
        user: user.to_owned(),
        name: "Not their own choice".to_owned(),
        ..AddMemberRequest::default()
    };
    let status = directory.client().add_member(OLGA.request(named("new"))).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::Forbidden);
    assert_eq!(directory.last_seq("team").await, before);
    assert!(directory.client().add_member(Caller::Service.request(named("new"))).await.is_ok());
}

#[tokio::test]
async fn a_team_that_does_not_exist_and_one_that_is_closed_to_the_user_answer_alike() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let stranger = Caller::User("stranger");
    for team in ["team", "no-such-team"] {
        assert_eq!(every_change(&directory, stranger, team).await, [Err(ErrorCode::NotFound); 5], "{team}");
    }
    let texts: Vec<String> = join_all(["team", "no-such-team"].map(async |team| {
        let request = stranger.request(GetTeamRequest { team: team.to_owned() });
        directory.client().get_team(request).await.unwrap_err().message().to_owned()
    }))
    .await;
    assert_eq!(texts[0], texts[1]);
    assert_eq!(directory.last_seq("no-such-team").await, None);
}

#[tokio::test]
async fn reads_are_for_members_and_for_the_user_concerned() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let insiders = [Caller::Service, OLGA, ADAM, MIA].map(|caller| (caller, None));
    for (caller, refusal) in insiders.into_iter().chain(OUTSIDERS.map(|(caller, code)| (caller, Some(code)))) {
        let mut client = directory.client();
        let request = caller.request(GetTeamRequest { team: "team".to_owned() });
        assert_eq!(client.get_team(request).await.err().as_ref().map(code), refusal, "{caller:?}");
        let message = ListMembersRequest { team: "team".to_owned(), ..ListMembersRequest::default() };
        let answer = client.list_members(caller.request(message)).await;
        assert_eq!(answer.err().as_ref().map(code), refusal, "{caller:?}");
    }
    for (caller, refusal) in [
        (Caller::Service, None),
        (MIA, None),
        (OLGA, Some(ErrorCode::Forbidden)),
        (Caller::User("stranger"), Some(ErrorCode::Forbidden)),
        (Caller::Expired("mia"), Some(ErrorCode::TokenExpired)),
        (Caller::Nobody, Some(ErrorCode::InvalidToken)),
    ] {
        let mut client = directory.client();
        let message = GetMembershipRequest { team: "team".to_owned(), user: "mia".to_owned(), min_seq: 0 };
        let answer = client.get_membership(caller.request(message)).await;
        assert_eq!(answer.err().as_ref().map(code), refusal, "{caller:?}");
        let message = ListUserTeamsRequest { user: "mia".to_owned(), ..ListUserTeamsRequest::default() };
        let answer = client.list_user_teams(caller.request(message)).await;
        assert_eq!(answer.err().as_ref().map(code), refusal, "{caller:?}");
    }
}

#[tokio::test]
async fn admins_manage_up_to_their_own_rank() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    directory.add(Caller::Service, "team", "otto", Role::Owner, "").await.unwrap();
    let forbidden = Err(ErrorCode::Forbidden);
    assert_eq!(directory.add(ADAM, "team", "new", Role::Owner, "").await, forbidden);
    assert_eq!(directory.remove(ADAM, "team", "otto", "").await, forbidden);
    assert_eq!(directory.add(ADAM, "team", "otto", Role::Member, "").await, forbidden);
    assert_eq!(directory.add(ADAM, "team", "mia", Role::Admin, "").await, forbidden);
    directory.add(ADAM, "team", "new", Role::Admin, "").await.unwrap();
    directory.remove(ADAM, "team", "new", "").await.unwrap();
    directory.remove(MIA, "team", "mia", "").await.unwrap();
    directory.add(OLGA, "team", "otto", Role::Member, "").await.unwrap();
    assert_eq!(directory.role("team", "otto").await, Some(Role::Member));
}

#[tokio::test]
async fn a_team_keeps_an_owner_whatever_happens_at_once() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let last = Err(ErrorCode::LastOwner);
    assert_eq!(directory.remove(OLGA, "team", "olga", "").await, last);
    assert_eq!(directory.remove(Caller::Service, "team", "olga", "").await, last);
    assert_eq!(directory.change_role(OLGA, "team", "olga", Role::Member, "").await, last);
    assert_eq!(directory.add(OLGA, "team", "olga", Role::Admin, "").await, last);

    for round in 0..5 {
        let team = format!("duel-{round}");
        directory.found(&team).await;
        directory.add(OLGA, &team, "otto", Role::Owner, "").await.unwrap();
        let (olga, otto) = tokio::join!(
            directory.remove(OLGA, &team, "otto", ""),
            directory.change_role(Caller::User("otto"), &team, "olga", Role::Member, "")
        );
        assert!(olga.is_ok() != otto.is_ok(), "{olga:?} {otto:?}");
        let roles = [directory.role(&team, "olga").await, directory.role(&team, "otto").await];
        assert_eq!(roles.iter().filter(|role| **role == Some(Role::Owner)).count(), 1, "{roles:?}");
    }
}

#[tokio::test]
async fn an_archived_team_refuses_changes_and_stays_readable() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let (seq, _) = directory.archive(OLGA, "team", "").await.unwrap();
    assert_eq!(directory.archive(OLGA, "team", "").await, Ok((0, true)));

    let archived = Err(ErrorCode::TeamArchived);
    assert_eq!(directory.rename(OLGA, "team", "Another", "").await, archived);
    assert_eq!(directory.add(OLGA, "team", "new", Role::Member, "").await, archived);
    assert_eq!(directory.remove(OLGA, "team", "mia", "").await, archived);
    assert_eq!(directory.remove(MIA, "team", "mia", "").await, archived);
    assert_eq!(directory.change_role(OLGA, "team", "mia", Role::Admin, "").await, archived);
    assert_eq!(directory.create(OLGA, "team", "", "").await.unwrap_err(), ErrorCode::TeamExists);
    assert_eq!(directory.last_seq("team").await, Some(seq));

    let request = MIA.request(GetTeamRequest { team: "team".to_owned() });
    assert!(directory.client().get_team(request).await.unwrap().into_inner().team.unwrap().archived);
    let message = GetMembershipRequest { team: "team".to_owned(), user: "mia".to_owned(), min_seq: seq };
    let membership = directory.client().get_membership(MIA.request(message)).await.unwrap().into_inner();
    assert!(membership.archived);
}

#[tokio::test]
async fn a_team_that_another_process_changes_is_judged_as_it_is() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let kind = huddle_domain::EventKind::MemberRemoved { user: huddle_domain::UserId::parse("adam").unwrap() };
    directory.backend.append(event("team", "olga", "from-elsewhere", kind)).await;
    assert_eq!(directory.rename(ADAM, "team", "Too late", "").await, Err(ErrorCode::NotFound));
}
