//! `RenameTeam`: for admins and owners.

use huddle_domain::{EventKind, Role};
use huddle_grpc::{CallError, team_id};
use huddle_proto::directory::v1::{RenameTeamRequest, RenameTeamResponse};
use tonic::Request;

use crate::{
    authorise::require,
    change::{Change, Verdict},
    convert,
    directory::Directory,
};

pub(crate) async fn rename_team(
    directory: &Directory,
    request: Request<RenameTeamRequest>,
) -> Result<RenameTeamResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let name = convert::name(&request.name)?;
    let change = Change {
        team: team_id(&request.team)?,
        kind: EventKind::TeamRenamed { name: name.clone() },
        client_id: request.client_id,
        member: None,
    };
    let changed = directory.change(&call, change, |standing| {
        require(standing.caller >= Role::Admin)?;
        if standing.team.name == name {
            return Ok(Verdict::InForce);
        }
        standing.require_active()?;
        Ok(Verdict::Publish)
    });
    let changed = changed.await?;
    Ok(RenameTeamResponse { seq: changed.seq.get(), stored: changed.stored })
}
