//! `RemoveMember`: for owners, for admins below the rank of owner, and for members themselves.

use huddle_auth::Identity;
use huddle_domain::{EventKind, Role};
use huddle_grpc::{CallError, team_id, user_id};
use huddle_proto::{
    Refusal,
    directory::v1::{RemoveMemberRequest, RemoveMemberResponse},
};
use tonic::Request;

use crate::{
    authorise::require,
    change::{Change, Standing, Verdict},
    directory::Directory,
};

pub(crate) async fn remove_member(
    directory: &Directory,
    request: Request<RemoveMemberRequest>,
) -> Result<RemoveMemberResponse, CallError> {
    let call = directory.open(&request)?;
    let request = request.into_inner();
    let user = user_id("user", &request.user)?;
    let is_own = matches!(&call.identity, Identity::User(token) if token.user == user);
    let change = Change {
        team: team_id(&request.team)?,
        kind: EventKind::MemberRemoved { user: user.clone() },
        client_id: request.client_id,
        member: Some(user),
    };
    let changed = directory.change(&call, change, |standing| judge(standing, is_own)).await?;
    Ok(RemoveMemberResponse { seq: changed.seq.get(), stored: changed.stored })
}

fn judge(standing: &Standing, is_own: bool) -> Result<Verdict, Refusal> {
    // Who is no member counts as the lowest, so that only those who could remove someone learn it.
    require(is_own || standing.caller.may_manage(standing.member.unwrap_or(Role::Member)))?;
    if standing.member.is_none() {
        return Ok(Verdict::InForce);
    }
    standing.require_active()?;
    standing.require_another_owner()?;
    Ok(Verdict::Publish)
}
