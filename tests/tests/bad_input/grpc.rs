//! Calls of history and directory that are wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use huddle_proto::{
    Refusal,
    directory::v1::{
        AddMemberRequest, ArchiveTeamRequest, ChangeMemberRoleRequest, CreateTeamRequest, GetMembershipRequest,
        GetTeamRequest, ListMembersRequest, ListUserTeamsRequest, RemoveMemberRequest, RenameTeamRequest,
        directory_service_client::DirectoryServiceClient,
    },
    event::v1::Role,
    gateway::v1::ErrorCode,
    history::v1::{
        FindSendsRequest, GetMessageRequest, ListEventsRequest, ListMessagesRequest, SendKey, StreamEventsRequest,
        history_service_client::HistoryServiceClient, list_messages_request::Position,
    },
};
use huddle_tests::{DirectoryClient, HistoryClient, SECRET, SERVICE_TOKEN, forged};
use serde_json::json;
use tonic::{Code, Request, Response, Status, transport::Endpoint};

use crate::{
    ids::bad_ids,
    world::{MARK, MEMBER, OWNER, STRANGER, TEAM, World},
};

const UNKNOWN_TEAM: &str = "there-is-no-such-team";
/// How long a call waits for a position that will not come.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) async fn bad_calls_are_refused(world: &mut World) -> Result<()> {
    Box::pin(only_good_tokens_may_call(world)).await?;
    Box::pin(strangers_may_read_nothing(world)).await?;
    Box::pin(bad_reads_are_refused(world)).await?;
    Box::pin(bad_changes_are_refused(world)).await
}

fn refused<T>(what: &str, outcome: Result<Response<T>, Status>, code: ErrorCode) -> Status {
    let Err(status) = outcome else { panic!("{what} is let through") };
    let refusal = Refusal::from_status(&status);
    assert_eq!(refusal.code, code, "{what}: {status:?}");
    assert_eq!(status.code(), code.grpc_code(), "{what}: {status:?}");
    assert!(!status.message().is_empty() && !status.message().contains(MARK), "{what}: {status:?}");
    status
}

fn messages(team: &str) -> ListMessagesRequest {
    ListMessagesRequest { team: team.to_owned(), ..ListMessagesRequest::default() }
}

fn events(team: &str) -> ListEventsRequest {
    ListEventsRequest { team: team.to_owned(), ..ListEventsRequest::default() }
}

async fn only_good_tokens_may_call(world: &mut World) -> Result<()> {
    let channel = |url| anyhow::Ok(Endpoint::from_shared(url)?.connect_lazy());
    let mut history = HistoryServiceClient::new(channel(world.deployment.history_url().to_owned())?);
    let mut directory = DirectoryServiceClient::new(channel(world.deployment.directory_url().to_owned())?);
    refused("no token", history.list_messages(messages(TEAM)).await, ErrorCode::InvalidToken);
    refused("no token", history.list_events(events(TEAM)).await, ErrorCode::InvalidToken);
    let team = GetTeamRequest { team: TEAM.to_owned() };
    refused("no token", directory.get_team(team.clone()).await, ErrorCode::InvalidToken);

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (header, claims) = (json!({"alg": "HS256"}), json!({"sub": OWNER, "exp": now + 3_600}));
    let expired = json!({"sub": OWNER, "exp": now - 3_600});
    let good = forged::token(&header, &claims, SECRET)?;
    for (what, authorization, code) in [
        ("another scheme", format!("Basic {good}"), ErrorCode::InvalidToken),
        ("no scheme", good.clone(), ErrorCode::InvalidToken),
        ("nothing behind the scheme", "Bearer ".to_owned(), ErrorCode::InvalidToken),
        ("a beginning of the service token", format!("Bearer {}", &SERVICE_TOKEN[..30]), ErrorCode::InvalidToken),
        ("a token and more", format!("Bearer {good}x"), ErrorCode::InvalidToken),
        (
            "alg none",
            format!("Bearer {}.", forged::unsigned(&json!({"alg": "none"}), &claims)),
            ErrorCode::InvalidToken,
        ),
        (
            "a foreign secret",
            format!("Bearer {}", forged::token(&header, &claims, "foreign")?),
            ErrorCode::InvalidToken,
        ),
        ("expired", format!("Bearer {}", forged::token(&header, &expired, SECRET)?), ErrorCode::TokenExpired),
    ] {
        world.secret(authorization.trim_start_matches("Bearer "));
        let mut call = Request::new(messages(TEAM));
        call.metadata_mut().insert("authorization", authorization.parse()?);
        refused(what, history.list_messages(call).await, code);
        let mut call = Request::new(team.clone());
        call.metadata_mut().insert("authorization", authorization.parse()?);
        refused(what, directory.get_team(call).await, code);
    }
    Ok(())
}

async fn strangers_may_read_nothing(world: &mut World) -> Result<()> {
    let token = world.token(STRANGER)?;
    let mut history = world.deployment.history_client(&token)?;
    let mut directory = world.deployment.directory_client(&token)?;
    let mut answers = Vec::new();
    for team in [TEAM, UNKNOWN_TEAM] {
        let not_found = ErrorCode::NotFound;
        let message = GetMessageRequest { team: team.to_owned(), seq: 1, min_seq: 0 };
        let stream = StreamEventsRequest { team: team.to_owned(), ..StreamEventsRequest::default() };
        let members = ListMembersRequest { team: team.to_owned(), ..ListMembersRequest::default() };
        let statuses = [
            refused(team, history.list_messages(messages(team)).await, not_found),
            refused(team, history.get_message(message).await, not_found),
            refused(team, history.list_events(events(team)).await, not_found),
            refused(team, first_of(history.stream_events(stream).await).await, not_found),
            refused(team, directory.get_team(GetTeamRequest { team: team.to_owned() }).await, not_found),
            refused(team, directory.list_members(members).await, not_found),
        ];
        answers.push(statuses.map(|status| status.message().to_owned()));
    }
    assert_eq!(answers[0], answers[1], "the answers tell a team that exists from one that does not");
    Ok(())
}

/// A stream may be refused in its first item.
async fn first_of<T>(outcome: Result<Response<tonic::Streaming<T>>, Status>) -> Result<Response<Option<T>>, Status> {
    Ok(Response::new(outcome?.into_inner().message().await?))
}

async fn bad_reads_are_refused(world: &mut World) -> Result<()> {
    let token = world.token(MEMBER)?;
    let mut history = world.deployment.history_client(&token)?;
    for id in bad_ids().iter().map(String::as_str).chain([""]) {
        let what = format!("{id:?}");
        let message = GetMessageRequest { team: id.to_owned(), ..GetMessageRequest::default() };
        let stream = StreamEventsRequest { team: id.to_owned(), ..StreamEventsRequest::default() };
        refused(&what, history.list_messages(messages(id)).await, ErrorCode::InvalidId);
        refused(&what, history.list_events(events(id)).await, ErrorCode::InvalidId);
        refused(&what, history.get_message(message).await, ErrorCode::InvalidId);
        refused(&what, first_of(history.stream_events(stream).await).await, ErrorCode::InvalidId);
    }
    out_of_bounds(&mut history).await?;

    // A position that is not stored: refused in time, with how far the store is.
    let mut call = Request::new(ListMessagesRequest { min_seq: i64::MAX.unsigned_abs(), ..messages(TEAM) });
    call.set_timeout(SHORT);
    let status = refused("min_seq", history.list_messages(call).await, ErrorCode::NotYetStored);
    let stored = status.metadata().get(huddle_proto::STORED_SEQ_METADATA).context("no huddle-stored-seq")?;
    assert!(stored.to_str()?.parse::<u64>()? > 0, "{stored:?}");

    let key = SendKey { team: TEAM.to_owned(), sender: MEMBER.to_owned(), client_id: "say-1".to_owned() };
    let find = |keys: Vec<SendKey>| FindSendsRequest { keys };
    refused("a user's look-up of sends", history.find_sends(find(vec![key.clone()])).await, ErrorCode::Forbidden);
    let mut service = world.deployment.history_client(SERVICE_TOKEN)?;
    refused("no keys", service.find_sends(find(Vec::new())).await, ErrorCode::InvalidArgument);
    refused("many keys", service.find_sends(find(vec![key.clone(); 1_001])).await, ErrorCode::InvalidArgument);
    for id in bad_ids() {
        for bad in [
            SendKey { team: id.clone(), ..key.clone() },
            SendKey { sender: id.clone(), ..key.clone() },
            SendKey { client_id: id.clone(), ..key.clone() },
        ] {
            refused(&format!("{id:?}"), service.find_sends(find(vec![bad])).await, ErrorCode::InvalidId);
        }
    }
    Ok(())
}

async fn out_of_bounds(history: &mut HistoryClient) -> Result<()> {
    let beyond = i64::MAX.unsigned_abs() + 1;
    let good = messages(TEAM);
    for (what, request) in [
        ("limit", ListMessagesRequest { limit: 501, ..good.clone() }),
        ("limit", ListMessagesRequest { limit: u32::MAX, ..good.clone() }),
        ("order", ListMessagesRequest { order: 99, ..good.clone() }),
        ("before", ListMessagesRequest { position: Some(Position::Before(beyond)), ..good.clone() }),
        ("after", ListMessagesRequest { position: Some(Position::After(u64::MAX)), ..good.clone() }),
        ("around", ListMessagesRequest { position: Some(Position::Around(u64::MAX)), ..good.clone() }),
        ("min_seq", ListMessagesRequest { min_seq: u64::MAX, ..good.clone() }),
    ] {
        let status = refused(what, history.list_messages(request).await, ErrorCode::InvalidArgument);
        assert!(status.message().contains(&format!("`{what}`")), "{status:?}");
    }
    for (what, request) in [
        ("limit", ListEventsRequest { limit: 1_001, ..events(TEAM) }),
        ("after", ListEventsRequest { after: beyond, ..events(TEAM) }),
        ("min_seq", ListEventsRequest { min_seq: u64::MAX, ..events(TEAM) }),
    ] {
        let status = refused(what, history.list_events(request).await, ErrorCode::InvalidArgument);
        assert!(status.message().contains(&format!("`{what}`")), "{status:?}");
    }
    let stream = StreamEventsRequest { team: TEAM.to_owned(), after: u64::MAX, ..StreamEventsRequest::default() };
    refused("after", first_of(history.stream_events(stream).await).await, ErrorCode::InvalidArgument);
    let message = |seq| GetMessageRequest { team: TEAM.to_owned(), seq, min_seq: 0 };
    refused("seq", history.get_message(message(beyond)).await, ErrorCode::InvalidArgument);
    refused("seq", history.get_message(message(i64::MAX.unsigned_abs())).await, ErrorCode::NotFound);

    // The bounds themselves are good.
    let page = history.list_messages(ListMessagesRequest { limit: 500, ..good.clone() }).await?.into_inner();
    assert!(!page.messages.is_empty());
    let end = Position::After(i64::MAX.unsigned_abs());
    let page = history.list_messages(ListMessagesRequest { position: Some(end), ..good }).await?.into_inner();
    assert!(page.messages.is_empty() && !page.has_newer, "{page:?}");
    // A request that is larger than any that makes sense is not taken into memory.
    let status =
        history.list_messages(messages(&"x".repeat(8 * 1024 * 1024))).await.err().context("8 MiB are taken")?;
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument), "{status:?}");
    Ok(())
}

async fn bad_changes_are_refused(world: &mut World) -> Result<()> {
    let (owner, member, stranger) = (world.token(OWNER)?, world.token(MEMBER)?, world.token(STRANGER)?);
    let mut owner = world.deployment.directory_client(&owner)?;
    let mut member = world.deployment.directory_client(&member)?;
    let mut stranger = world.deployment.directory_client(&stranger)?;
    let before = team_state(&mut owner).await?;

    let add = AddMemberRequest {
        team: TEAM.to_owned(),
        user: "somebody".to_owned(),
        role: Role::Member.into(),
        ..AddMemberRequest::default()
    };
    let remove = |user: &str| RemoveMemberRequest {
        team: TEAM.to_owned(),
        user: user.to_owned(),
        ..RemoveMemberRequest::default()
    };
    let rename = RenameTeamRequest { team: TEAM.to_owned(), name: "Renamed".to_owned(), client_id: String::new() };
    let archive = ArchiveTeamRequest { team: TEAM.to_owned(), client_id: String::new() };
    let change = |user: &str, role: i32| ChangeMemberRoleRequest {
        team: TEAM.to_owned(),
        user: user.to_owned(),
        role,
        client_id: String::new(),
    };
    for (client, code) in [(&mut member, ErrorCode::Forbidden), (&mut stranger, ErrorCode::NotFound)] {
        refused("add", client.add_member(add.clone()).await, code);
        refused("remove", client.remove_member(remove(OWNER)).await, code);
        refused("rename", client.rename_team(rename.clone()).await, code);
        refused("archive", client.archive_team(archive.clone()).await, code);
        refused("promote", client.change_member_role(change(MEMBER, Role::Owner.into())).await, code);
        let teams = ListUserTeamsRequest { user: OWNER.to_owned(), ..ListUserTeamsRequest::default() };
        refused("another's teams", client.list_user_teams(teams).await, ErrorCode::Forbidden);
    }
    let membership = GetMembershipRequest { team: TEAM.to_owned(), user: OWNER.to_owned(), min_seq: 0 };
    refused("another's membership", stranger.get_membership(membership).await, ErrorCode::Forbidden);

    refused("the last owner leaves", owner.remove_member(remove(OWNER)).await, ErrorCode::LastOwner);
    let demotion = change(OWNER, Role::Member.into());
    refused("the last owner steps down", owner.change_member_role(demotion).await, ErrorCode::LastOwner);
    refused("no such member", owner.change_member_role(change("nobody", 1)).await, ErrorCode::NotFound);
    refused("no such role", owner.change_member_role(change(MEMBER, 99)).await, ErrorCode::InvalidArgument);
    refused("no role", owner.change_member_role(change(MEMBER, 0)).await, ErrorCode::InvalidArgument);
    refused(
        "a role to come",
        owner.add_member(AddMemberRequest { role: 99, ..add.clone() }).await,
        ErrorCode::InvalidArgument,
    );
    for name in
        ["", "  ", "two\nlines", "\u{202e}backwards", "nul\0"].map(str::to_owned).into_iter().chain(["x".repeat(201)])
    {
        let what = format!("{name:.20?}");
        let renamed = owner.rename_team(RenameTeamRequest { name: name.clone(), ..rename.clone() }).await;
        refused(&what, renamed, ErrorCode::InvalidName);
        let created = CreateTeamRequest { team: "of-a-bad-name".to_owned(), name, ..CreateTeamRequest::default() };
        refused(&what, owner.create_team(created).await, ErrorCode::InvalidName);
    }
    for id in bad_ids() {
        let what = format!("{id:?}");
        let create = CreateTeamRequest { team: id.clone(), name: "Good".to_owned(), ..CreateTeamRequest::default() };
        refused(&what, owner.create_team(create).await, ErrorCode::InvalidId);
        for bad in [
            AddMemberRequest { team: id.clone(), ..add.clone() },
            AddMemberRequest { user: id.clone(), ..add.clone() },
            AddMemberRequest { client_id: id.clone(), ..add.clone() },
        ] {
            refused(&what, owner.add_member(bad).await, ErrorCode::InvalidId);
        }
    }
    let taken = CreateTeamRequest { team: TEAM.to_owned(), name: "Mine".to_owned(), ..CreateTeamRequest::default() };
    refused("a team's id is taken", stranger.create_team(taken).await, ErrorCode::TeamExists);
    assert_eq!(team_state(&mut owner).await?, before, "what was refused has changed nothing");
    Ok(())
}

async fn team_state(directory: &mut DirectoryClient) -> Result<String> {
    let team = directory.get_team(GetTeamRequest { team: TEAM.to_owned() }).await?.into_inner();
    let members = ListMembersRequest { team: TEAM.to_owned(), ..ListMembersRequest::default() };
    Ok(format!("{team:?} {:?}", directory.list_members(members).await?.into_inner()))
}
