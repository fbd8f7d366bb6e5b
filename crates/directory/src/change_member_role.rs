//! `ChangeMemberRole`: for owners.

use huddle_domain::{EventKind, Role};
use huddle_grpc::{CallError, team_id, user_id};
use huddle_proto::{
    Refusal,
    directory::v1::{ChangeMemberRoleRequest, ChangeMemberRoleResponse},
    gateway::v1::ErrorCode,
};
use tonic::Request;

use crate::{
    authorise::require,
    change::{Change, Standing, Verdict},
    convert,
    directory::Directory,
};

pub(crate) async fn change_member_role(
    directory: &Directory,
    request: Request<ChangeMemberRoleRequest>,
) -> Result<ChangeMemberRoleResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let user = user_id("user", &request.user)?;
    let Some(role) = convert::role(request.role)? else {
        return Err(Refusal::new(ErrorCode::InvalidArgument, "`role` is missing").into());
    };
    let change = Change {
        team: team_id(&request.team)?,
        kind: EventKind::MemberRoleChanged { user: user.clone(), role },
        client_id: request.client_id,
        member: Some(user),
    };
    let changed = directory.change(&call, change, |standing| judge(standing, role)).await?;
    Ok(ChangeMemberRoleResponse { seq: changed.seq.get(), stored: changed.stored })
}

fn judge(standing: &Standing, role: Role) -> Result<Verdict, Refusal> {
    require(standing.caller == Role::Owner)?;
    let Some(present) = standing.member else {
        return Err(Refusal::new(ErrorCode::NotFound, "the user is no member of the team"));
    };
    if present == role {
        return Ok(Verdict::InForce);
    }
    standing.require_active()?;
    standing.require_another_owner()?;
    Ok(Verdict::Publish)
}
