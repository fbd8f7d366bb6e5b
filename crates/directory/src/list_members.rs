//! `ListMembers`: a page of a team's members, for its members.

use huddle_grpc::{CallError, page_limit, team_id, user_id};
use huddle_proto::directory::v1::{ListMembersRequest, ListMembersResponse};
use tonic::Request;

use crate::{authorise, convert, directory::Directory};

/// Members on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 200;
/// Most members on a page. So many of the longest names and ids fit into one answer.
const LIMIT_MAX: u32 = 1_000;

pub(crate) async fn list_members(
    directory: &Directory,
    request: Request<ListMembersRequest>,
) -> Result<ListMembersResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let team = team_id(&request.team)?;
    let after = match request.after_user.as_str() {
        "" => None,
        text => Some(user_id("after_user", text)?),
    };
    let limit = page_limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    authorise::role_in(&*directory.teams, &call, &team, None).await?;
    let page = call.deadline.bound(directory.teams.list_members(&team, after.as_ref(), limit)).await?;
    Ok(ListMembersResponse { members: page.items.iter().map(convert::member).collect(), has_more: page.has_more })
}
