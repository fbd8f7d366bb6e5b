//! The demo team: something to talk in.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use huddle_auth::{Minter, VerifierOptions};
use huddle_domain::{Name, TeamId, UserId};
use huddle_gateway::Demo;
use huddle_proto::{
    Refusal,
    directory::v1::{
        AddMemberRequest, CreateTeamRequest, GetMembershipRequest, directory_service_client::DirectoryServiceClient,
    },
    event::v1::Role,
    gateway::v1::ErrorCode,
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

pub(super) const TEAM: &str = "demo";
const TEAM_NAME: &str = "Demo";
pub(super) const OWNER: &str = "alice";
pub(super) const MEMBER: &str = "bob";
const OWNER_NAME: &str = "Alice";
const MEMBER_NAME: &str = "Bob";

/// How long the tokens are valid that the page gets; it asks for new ones by itself.
const PAGE_TOKEN_TTL: Duration = Duration::from_hours(12);
/// What there is of the demo team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DemoTeam {
    /// It is there, and whoever opens the page on this machine may be one of its members.
    SignIn,
    /// It is there, and its members' tokens are told to who starts the program, only.
    Told,
    /// There is none: others reach this instance, and its users are theirs.
    None,
}

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The team as the page offers it, with tokens of the kind that `auth` accepts.
pub(super) fn demo(auth: VerifierOptions) -> Result<Demo> {
    let member = |user, name| anyhow::Ok((UserId::parse(user)?, Name::parse(name)?));
    Ok(Demo {
        team: TeamId::parse(TEAM)?,
        members: vec![member(OWNER, OWNER_NAME)?, member(MEMBER, MEMBER_NAME)?],
        minter: Minter::new(auth)?,
        token_ttl: PAGE_TOKEN_TTL,
    })
}

/// The directory that listens at `address`.
pub(super) async fn connect(address: SocketAddr) -> Result<Channel> {
    let endpoint = Endpoint::new(format!("http://{address}"))?.connect_timeout(CALL_TIMEOUT);
    endpoint.connect().await.context("cannot reach the directory")
}

/// Creates the team and its members, unless they are there. Returns once gateways can see them. A team of that id that
/// somebody else has made is left alone.
pub(super) async fn create(directory: Channel, service_token: &str) -> Result<()> {
    let authorization: MetadataValue<Ascii> = format!("Bearer {service_token}").parse()?;
    let mut directory = DirectoryServiceClient::with_interceptor(directory, |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", authorization.clone());
        Ok(request)
    });
    let team = CreateTeamRequest {
        team: TEAM.to_owned(),
        name: TEAM_NAME.to_owned(),
        owner: OWNER.to_owned(),
        client_id: "huddle-up-create".to_owned(),
    };
    match directory.create_team(bounded(team)).await {
        Ok(_) => {}
        // Our own creation, also one that was interrupted, is recognised by its client_id.
        Err(status) if Refusal::from_status(&status).code == ErrorCode::TeamExists => return Ok(()),
        Err(status) => return Err(status).context("creating the team failed"),
    }
    let member = AddMemberRequest {
        team: TEAM.to_owned(),
        user: MEMBER.to_owned(),
        role: Role::Member.into(),
        name: MEMBER_NAME.to_owned(),
        client_id: "huddle-up-add-member".to_owned(),
    };
    let added = directory.add_member(bounded(member)).await.context("adding a member failed")?.into_inner();
    let membership = GetMembershipRequest { team: TEAM.to_owned(), user: MEMBER.to_owned(), min_seq: added.seq };
    directory.get_membership(bounded(membership)).await.context("the member is not stored")?;
    Ok(())
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}
