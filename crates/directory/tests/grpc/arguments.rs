//! Arguments that are refused, each with its code, before anything reaches the log.

use huddle_proto::{
    directory::v1::{
        AddMemberRequest, ChangeMemberRoleRequest, CreateTeamRequest, GetMembershipRequest, ListMembersRequest,
        ListUserTeamsRequest, RenameTeamRequest,
    },
    gateway::v1::ErrorCode,
};
use tonic::Code;

use crate::{
    backend::as_service,
    support::{Directory, code},
};

const BAD_IDS: [&str; 8] = ["a.b", "a b", "*", ">", "a\r\nb", "a\0b", "ä", "a/b"];

#[tokio::test]
async fn ids_that_would_break_a_subject_are_refused_wherever_they_stand() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let before = directory.last_seq("team").await;
    let mut client = directory.client();
    let long = "x".repeat(65);
    for id in BAD_IDS.into_iter().chain([long.as_str()]) {
        let id = || id.to_owned();
        let (team, name) = ("team".to_owned(), "A team".to_owned());
        let creation =
            CreateTeamRequest { team: "new".to_owned(), name, owner: "ada".to_owned(), client_id: String::new() };
        for message in [
            CreateTeamRequest { team: id(), ..creation.clone() },
            CreateTeamRequest { owner: id(), ..creation.clone() },
            CreateTeamRequest { client_id: id(), ..creation },
        ] {
            let status = client.create_team(as_service(message)).await.unwrap_err();
            assert_eq!((status.code(), code(&status)), (Code::InvalidArgument, ErrorCode::InvalidId), "{:?}", id());
            assert!(!status.message().contains(&id()), "the input is not repeated");
        }
        let addition = AddMemberRequest { team, user: "zoe".to_owned(), ..AddMemberRequest::default() };
        for message in [
            AddMemberRequest { team: id(), ..addition.clone() },
            AddMemberRequest { user: id(), ..addition.clone() },
            AddMemberRequest { client_id: id(), ..addition },
        ] {
            assert_eq!(code(&client.add_member(as_service(message)).await.unwrap_err()), ErrorCode::InvalidId);
        }
        let message = ListMembersRequest { team: "team".to_owned(), after_user: id(), limit: 0 };
        assert_eq!(code(&client.list_members(as_service(message)).await.unwrap_err()), ErrorCode::InvalidId);
        let message = ListUserTeamsRequest { user: "mia".to_owned(), after_team: id(), limit: 0 };
        assert_eq!(code(&client.list_user_teams(as_service(message)).await.unwrap_err()), ErrorCode::InvalidId);
    }
    assert_eq!(directory.last_seq("team").await, before);
    assert_eq!(directory.last_seq("new").await, None);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let directory = Directory::start().await;
    let mut client = directory.client();
    for name in ["", " \t", "a\nb", "a\u{202e}b", "a\0b", &"x".repeat(201)] {
        let message = CreateTeamRequest {
            team: "team".to_owned(),
            name: name.to_owned(),
            owner: "ada".to_owned(),
            client_id: String::new(),
        };
        assert_eq!(code(&client.create_team(as_service(message)).await.unwrap_err()), ErrorCode::InvalidName);
        let message = RenameTeamRequest { team: "team".to_owned(), name: name.to_owned(), client_id: String::new() };
        assert_eq!(code(&client.rename_team(as_service(message)).await.unwrap_err()), ErrorCode::InvalidName);
        let message = AddMemberRequest {
            team: "team".to_owned(),
            user: "zoe".to_owned(),
            name: name.to_owned(),
            ..AddMemberRequest::default()
        };
        if !name.is_empty() {
            assert_eq!(code(&client.add_member(as_service(message)).await.unwrap_err()), ErrorCode::InvalidName);
        }
    }
}

#[tokio::test]
async fn roles_limits_and_positions_out_of_bounds_are_refused() {
    let directory = Directory::start().await;
    let mut client = directory.client();
    let team = || "team".to_owned();
    let refused = ErrorCode::InvalidArgument;
    for role in [0, 4, -1] {
        let message = ChangeMemberRoleRequest { team: team(), user: "mia".to_owned(), role, client_id: String::new() };
        assert_eq!(code(&client.change_member_role(as_service(message)).await.unwrap_err()), refused, "{role}");
    }
    let message = AddMemberRequest { team: team(), user: "zoe".to_owned(), role: 9, ..AddMemberRequest::default() };
    assert_eq!(code(&client.add_member(as_service(message)).await.unwrap_err()), refused);
    let message = ListMembersRequest { team: team(), after_user: String::new(), limit: 1_001 };
    assert_eq!(code(&client.list_members(as_service(message)).await.unwrap_err()), refused);
    let message = ListUserTeamsRequest { user: "mia".to_owned(), after_team: String::new(), limit: 1_001 };
    assert_eq!(code(&client.list_user_teams(as_service(message)).await.unwrap_err()), refused);
    let message = GetMembershipRequest { team: team(), user: "mia".to_owned(), min_seq: u64::MAX };
    assert_eq!(code(&client.get_membership(as_service(message)).await.unwrap_err()), refused);
}
