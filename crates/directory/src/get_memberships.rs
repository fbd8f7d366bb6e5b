//! `GetMemberships`: what users may do in a team, for gateways that let many in at once.

use huddle_domain::{TeamId, UserId};
use huddle_grpc::{CallError, position, team_id};
use huddle_proto::directory::v1::{GetMembershipsRequest, GetMembershipsResponse, Membership};
use huddle_store::{Fence, StoreError};
use tonic::Request;

use crate::{convert, directory::Directory, get_user_names::users};

pub(crate) async fn get_memberships(
    directory: &Directory,
    request: Request<GetMembershipsRequest>,
) -> Result<GetMembershipsResponse, CallError> {
    let call = directory.open(&request)?;
    call.require_service()?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let users = users(&request.users)?;
    let min_seq = position("min_seq", request.min_seq)?;
    let answer = |fence| answer(directory, &team, &users, fence);
    directory.stored.read(&team, min_seq, &call.deadline, answer).await
}

async fn answer(
    directory: &Directory,
    team: &TeamId,
    users: &[UserId],
    fence: Option<Fence>,
) -> Result<GetMembershipsResponse, StoreError> {
    let found = directory.teams.memberships(team, users, fence).await?;
    let archived = found.iter().any(|(_, membership)| membership.team_archived);
    let memberships = found
        .into_iter()
        .map(|(user, membership)| Membership { user: user.to_string(), role: convert::role_number(membership.role) });
    Ok(GetMembershipsResponse { memberships: memberships.collect(), archived })
}
