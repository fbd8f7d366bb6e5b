//! `GetTeam`: a team with its name and state, for its members.

use huddle_grpc::{CallError, team_id};
use huddle_proto::directory::v1::{GetTeamRequest, GetTeamResponse};
use tonic::Request;

use crate::{authorise, convert, directory::Directory};

pub(crate) async fn get_team(
    directory: &Directory,
    request: Request<GetTeamRequest>,
) -> Result<GetTeamResponse, CallError> {
    let call = directory.open(&request)?;
    let team = team_id(&request.get_ref().team)?;
    let (_, team) = authorise::role_in(&*directory.teams, &call, &team, None).await?;
    Ok(GetTeamResponse { team: Some(convert::team(&team)) })
}
