//! `GetMemberships`: what users may do in a team, for gateways that let many in at once.

use huddle_domain::UserId;
use huddle_grpc::{CallError, position, team_id};
use huddle_proto::directory::v1::{GetMembershipsRequest, GetMembershipsResponse, Membership};
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
    directory.stored.reach(&team, position("min_seq", request.min_seq)?, &call.deadline).await?;
    let mut answer = GetMembershipsResponse::default();
    for user in &users {
        let found = call.deadline.bound(directory.teams.membership(&team, user)).await?;
        if let Some(found) = found {
            answer.archived = found.team_archived;
            answer.memberships.push(member(user, &found));
        }
    }
    Ok(answer)
}

fn member(user: &UserId, membership: &huddle_store::Membership) -> Membership {
    Membership { user: user.to_string(), role: convert::role_number(membership.role) }
}
