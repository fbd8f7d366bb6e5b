//! `GetMembership`: what a user may do in a team.

use huddle_auth::Identity;
use huddle_grpc::{CallError, position, team_id, user_id};
use huddle_proto::{
    Refusal,
    directory::v1::{GetMembershipRequest, GetMembershipResponse},
    gateway::v1::ErrorCode,
};
use tonic::Request;

use crate::{authorise, convert, directory::Directory};

pub(crate) async fn get_membership(
    directory: &Directory,
    request: Request<GetMembershipRequest>,
) -> Result<GetMembershipResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let user = user_id("user", &request.user)?;
    if matches!(&call.identity, Identity::User(token) if token.user != user) {
        return Err(Refusal::new(ErrorCode::Forbidden, "`user`: another user needs the service token").into());
    }
    let min_seq = position("min_seq", request.min_seq)?;
    let membership = |fence| directory.teams.membership(&team, &user, fence);
    let membership = directory.stored.read(&team, min_seq, &call.deadline, membership).await?;
    let membership = membership.ok_or_else(authorise::no_such_team)?;
    Ok(GetMembershipResponse { role: convert::role_number(membership.role), archived: membership.team_archived })
}
