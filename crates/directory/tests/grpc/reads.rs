//! Pages of members and teams; health and reflection.

use huddle_domain::Role;
use huddle_proto::{
    directory::v1::{
        AddMemberRequest, GetMembershipsRequest, GetUserNamesRequest, ListMembersRequest, ListUserTeamsRequest,
    },
    event::v1 as event,
    gateway::v1::ErrorCode,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1;

use crate::{
    backend::eventually,
    support::{Caller, Directory, code},
};

#[tokio::test]
async fn members_and_teams_are_listed_in_pages_without_gap_or_repeat() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team-0").await;
    let name = "Zoë \u{1f44b} 'O''Hara'".to_owned();
    let message = AddMemberRequest {
        team: "team-0".to_owned(),
        user: "zoe".to_owned(),
        role: event::Role::Unspecified.into(),
        name: name.clone(),
        client_id: String::new(),
    };
    let added = directory.client().add_member(Caller::Service.request(message)).await.unwrap().into_inner();
    for number in 1..6 {
        directory.create(Caller::Service, &format!("team-{number}"), "olga", "").await.unwrap();
    }
    directory.add(Caller::Service, "team-3", "mia", Role::Admin, "").await.unwrap();

    let (mut users, mut after_user) = (Vec::new(), String::new());
    loop {
        let message = ListMembersRequest { team: "team-0".to_owned(), after_user, limit: 2 };
        let page = directory.client().list_members(Caller::User("mia").request(message)).await.unwrap().into_inner();
        users.extend(page.members);
        after_user = users.last().unwrap().user.clone();
        if !page.has_more {
            break;
        }
        assert_eq!(users.len() % 2, 0);
    }
    let listed: Vec<_> = users.iter().map(|member| (member.user.as_str(), member.role())).collect();
    let (member, admin, owner) = (event::Role::Member, event::Role::Admin, event::Role::Owner);
    assert_eq!(listed, [("adam", admin), ("max", member), ("mia", member), ("olga", owner), ("zoe", member)]);
    assert_eq!((users[4].name.clone(), users[4].since_seq), (name, added.seq));

    let (mut teams, mut after_team) = (Vec::new(), String::new());
    loop {
        let message = ListUserTeamsRequest { user: String::new(), after_team, limit: 4 };
        let page =
            directory.client().list_user_teams(Caller::User("olga").request(message)).await.unwrap().into_inner();
        teams.extend(page.teams.into_iter().map(|team| team.team.unwrap().team));
        after_team = teams.last().unwrap().clone();
        if !page.has_more {
            break;
        }
    }
    assert_eq!(teams, ["team-0", "team-1", "team-2", "team-3", "team-4", "team-5"]);
    let message = ListUserTeamsRequest { user: "mia".to_owned(), ..ListUserTeamsRequest::default() };
    let page = directory.client().list_user_teams(Caller::Service.request(message)).await.unwrap().into_inner();
    let roles: Vec<_> = page.teams.iter().map(huddle_proto::directory::v1::UserTeam::role).collect();
    assert_eq!(roles, [member, admin]);
}

#[tokio::test]
async fn names_of_a_thousand_users_are_read_at_once_with_the_service_token_only() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let longest = "\u{1f44b}".repeat(200);
    for (user, name) in [("zoe", "Zoë"), ("long", longest.as_str())] {
        let message = AddMemberRequest {
            team: "team".to_owned(),
            user: user.to_owned(),
            name: name.to_owned(),
            ..AddMemberRequest::default()
        };
        directory.client().add_member(Caller::Service.request(message)).await.unwrap();
    }
    let names = async |caller: Caller, users: Vec<String>| {
        let answer = directory.client().get_user_names(caller.request(GetUserNamesRequest { users })).await;
        let names = answer.map_err(|status| code(&status))?.into_inner().names;
        let mut names: Vec<_> = names.into_iter().map(|named| (named.user, named.name)).collect();
        names.sort();
        Ok(names)
    };
    let asked = |count: usize| -> Vec<String> {
        let known = ["zoe", "mia", "long"].map(str::to_owned);
        known.into_iter().chain((0..).map(|number| format!("u{number}"))).take(count).collect()
    };
    let expected = vec![("long".to_owned(), longest), ("zoe".to_owned(), "Zoë".to_owned())];
    for count in [3, 1_000] {
        assert_eq!(names(Caller::Service, asked(count)).await, Ok(expected.clone()));
    }
    assert_eq!(names(Caller::Service, vec!["mia".to_owned()]).await, Ok(Vec::new()));
    for (caller, users, refusal) in [
        (Caller::Service, asked(0), ErrorCode::InvalidArgument),
        (Caller::Service, asked(1_001), ErrorCode::InvalidArgument),
        (Caller::Service, vec!["zoe".to_owned(), "a.b".to_owned()], ErrorCode::InvalidId),
        (Caller::User("olga"), asked(1), ErrorCode::Forbidden),
        (Caller::User("zoe"), asked(1), ErrorCode::Forbidden),
        (Caller::Expired("olga"), asked(1), ErrorCode::TokenExpired),
        (Caller::Revoked, asked(1), ErrorCode::TokenRevoked),
        (Caller::Nobody, asked(1), ErrorCode::InvalidToken),
    ] {
        assert_eq!(names(caller, users).await, Err(refusal), "{caller:?}");
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let directory = Directory::start().await;
    let service = "huddle.directory.v1.DirectoryService";
    let mut health = HealthClient::new(directory.channel.clone());
    eventually("it serves", async || {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
    })
    .await;

    let mut client = v1::server_reflection_client::ServerReflectionClient::new(directory.channel.clone());
    let request = v1::server_reflection_request::MessageRequest::FileContainingSymbol(service.to_owned());
    let asked = v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([asked])).await.unwrap().into_inner();
    let file = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(file, v1::server_reflection_response::MessageResponse::FileDescriptorResponse(_)), "{file:?}");
}

#[tokio::test]
async fn memberships_of_all_who_come_at_once_are_one_question_with_the_service_token_only() {
    let directory = Directory::start().await;
    let _storing = directory.backend.keep_storing();
    directory.found("team").await;
    let memberships = async |caller: Caller, team: &str, users: Vec<String>| {
        let message = GetMembershipsRequest { team: team.to_owned(), users, min_seq: 0 };
        let answer = directory.client().get_memberships(caller.request(message)).await;
        let answer = answer.map_err(|status| code(&status))?.into_inner();
        Ok(answer.memberships.into_iter().map(|member| (member.user.clone(), member.role)).collect::<Vec<_>>())
    };
    let asked =
        |count: usize| ["olga".to_owned()].into_iter().chain((0..).map(|it| format!("u{it}"))).take(count).collect();
    for count in [1, 2, 1_000] {
        let found = memberships(Caller::Service, "team", asked(count)).await;
        assert_eq!(found, Ok(vec![("olga".to_owned(), event::Role::Owner.into())]), "{count}");
    }
    assert_eq!(memberships(Caller::Service, "nowhere", asked(1)).await, Ok(Vec::new()));
    for (caller, users, refusal) in [
        (Caller::Service, asked(0), ErrorCode::InvalidArgument),
        (Caller::Service, asked(1_001), ErrorCode::InvalidArgument),
        (Caller::User("olga"), asked(1), ErrorCode::Forbidden),
        (Caller::Nobody, asked(1), ErrorCode::InvalidToken),
    ] {
        assert_eq!(memberships(caller, "team", users).await, Err(refusal));
    }
}
