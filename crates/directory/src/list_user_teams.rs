//! `ListUserTeams`: a page of a user's teams, for that user.

use huddle_domain::TeamId;
use huddle_grpc::{CallError, page_limit};
use huddle_proto::{
    Refusal,
    directory::v1::{ListUserTeamsRequest, ListUserTeamsResponse},
    gateway::v1::ErrorCode,
};
use tonic::Request;

use crate::{convert, directory::Directory};

/// Teams on a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 200;
/// Most teams on a page. So many of the longest names and ids fit into one answer.
const LIMIT_MAX: u32 = 1_000;

pub(crate) async fn list_user_teams(
    directory: &Directory,
    request: Request<ListUserTeamsRequest>,
) -> Result<ListUserTeamsResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let user = call.own_user("user", &request.user)?;
    let after = match request.after_team.as_str() {
        "" => None,
        text => Some(
            TeamId::parse(text)
                .map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`after_team`: {error}")))?,
        ),
    };
    let limit = page_limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let page = call.deadline.bound(directory.teams.list_user_teams(&user, after.as_ref(), limit)).await?;
    Ok(ListUserTeamsResponse { teams: page.items.iter().map(convert::user_team).collect(), has_more: page.has_more })
}
