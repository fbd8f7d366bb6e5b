//! Who may read what: the service token every team, a user the teams that the user is in.

use huddle_auth::Identity;
use huddle_domain::TeamId;
use huddle_grpc::{Call, CallError};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_store::{DirectoryStore, Fence};

/// Makes sure that `team` exists and the caller may read it, as the store knows teams and members
/// at `fence` or later. A team that does
/// not exist and one that the user is not in (any longer) give the same answer.
pub(crate) async fn may_read(
    directory: &dyn DirectoryStore,
    call: &Call,
    team: &TeamId,
    fence: Option<Fence>,
) -> Result<(), CallError> {
    let is_known = match &call.identity {
        Identity::Service => call.deadline.bound(directory.team(team, fence)).await?.is_some(),
        Identity::User(token) => call.deadline.bound(directory.membership(team, &token.user, fence)).await?.is_some(),
    };
    if is_known {
        Ok(())
    } else {
        Err(Refusal::new(ErrorCode::NotFound, "there is no such team for this caller").into())
    }
}
