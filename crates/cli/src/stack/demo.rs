//! The demo team: something to talk in.

use std::time::Duration;

use anyhow::{Context as _, Result};
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
    transport::Endpoint,
};

pub(super) const TEAM: &str = "demo";
const TEAM_NAME: &str = "Demo";
pub(super) const OWNER: &str = "alice";
pub(super) const MEMBER: &str = "bob";
const MEMBER_NAME: &str = "Bob";

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates the team and its members, unless they are there. Returns once gateways can see them.
pub(super) async fn create(directory_url: &str, service_token: &str) -> Result<()> {
    let authorization: MetadataValue<Ascii> = format!("Bearer {service_token}").parse()?;
    let channel = Endpoint::new(directory_url.to_owned())?.timeout(CALL_TIMEOUT).connect().await?;
    let mut directory = DirectoryServiceClient::with_interceptor(channel, |mut request: Request<()>| {
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
        Err(status) if Refusal::from_status(&status).code == ErrorCode::TeamExists => {}
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
