//! Who may do what: the service token everything, a user what the user's role in the team allows.

use huddle_auth::Identity;
use huddle_domain::{Role, TeamId};
use huddle_grpc::{Call, CallError};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_store::{DirectoryStore, Fence, Team};

/// The answer for a team that does not exist and for one that the user is not in (any longer).
pub(crate) fn no_such_team() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such team for this caller")
}

/// The role that the caller has in `team`, and the team, at `fence` or later. The service token counts as an owner.
pub(crate) async fn role_in(
    teams: &dyn DirectoryStore,
    call: &Call,
    team: &TeamId,
    fence: Option<Fence>,
) -> Result<(Role, Team), CallError> {
    let role = match &call.identity {
        Identity::Service => Role::Owner,
        Identity::User(token) => {
            let membership = call.deadline.bound(teams.membership(team, &token.user, fence)).await?;
            membership.ok_or_else(no_such_team)?.role
        }
    };
    let team = call.deadline.bound(teams.team(team, fence)).await?;
    Ok((role, team.ok_or_else(no_such_team)?))
}

/// Refuses unless `allowed`.
pub(crate) fn require(allowed: bool) -> Result<(), Refusal> {
    if allowed {
        Ok(())
    } else {
        Err(Refusal::new(ErrorCode::Forbidden, "the caller's role in the team does not allow this"))
    }
}
