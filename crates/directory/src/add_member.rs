//! `AddMember`: for owners, and for admins below the rank of owner.

use huddle_auth::Identity;
use huddle_domain::{EventKind, Role};
use huddle_grpc::{CallError, team_id, user_id};
use huddle_proto::{
    Refusal,
    directory::v1::{AddMemberRequest, AddMemberResponse},
    gateway::v1::ErrorCode,
};
use tonic::Request;

use crate::{
    authorise::require,
    change::{Change, Standing, Verdict},
    convert,
    directory::Directory,
};

pub(crate) async fn add_member(
    directory: &Directory,
    request: Request<AddMemberRequest>,
) -> Result<AddMemberResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let user = user_id("user", &request.user)?;
    let role = convert::role(request.role)?.unwrap_or(Role::Member);
    let name = if request.name.is_empty() { None } else { Some(convert::name(&request.name)?) };
    if name.is_some() && !matches!(call.identity, Identity::Service) {
        // A name is shown in every team of the user: who may add members to one team must not choose it.
        return Err(Refusal::new(ErrorCode::Forbidden, "`name` is for the service token to set").into());
    }
    let change = Change {
        team: team_id(&request.team)?,
        kind: EventKind::MemberAdded { user: user.clone(), role, name },
        client_id: request.client_id,
        member: Some(user),
    };
    let changed = directory.change(&call, change, |standing| judge(standing, role)).await?;
    Ok(AddMemberResponse { seq: changed.seq.get(), stored: changed.stored })
}

fn judge(standing: &Standing, role: Role) -> Result<Verdict, Refusal> {
    require(standing.caller.may_manage(role))?;
    if standing.member == Some(role) {
        return Ok(Verdict::InForce);
    }
    standing.require_active()?;
    if standing.member.is_some() {
        // To add a member again with another role is to change the role.
        require(standing.caller == Role::Owner)?;
        standing.require_another_owner()?;
    }
    Ok(Verdict::Publish)
}
