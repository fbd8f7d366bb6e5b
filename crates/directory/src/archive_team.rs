//! `ArchiveTeam`: for owners.

use huddle_domain::{EventKind, Role};
use huddle_grpc::{CallError, team_id};
use huddle_proto::directory::v1::{ArchiveTeamRequest, ArchiveTeamResponse};
use tonic::Request;

use crate::{
    authorise::require,
    change::{Change, Verdict},
    directory::Directory,
};

pub(crate) async fn archive_team(
    directory: &Directory,
    request: Request<ArchiveTeamRequest>,
) -> Result<ArchiveTeamResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let change = Change {
        team: team_id(&request.team)?,
        kind: EventKind::TeamArchived,
        client_id: request.client_id,
        member: None,
    };
    let changed = directory.change(&call, change, |standing| {
        require(standing.caller == Role::Owner)?;
        Ok(if standing.team.archived { Verdict::InForce } else { Verdict::Publish })
    });
    let changed = changed.await?;
    Ok(ArchiveTeamResponse { seq: changed.seq.get(), stored: changed.stored })
}
