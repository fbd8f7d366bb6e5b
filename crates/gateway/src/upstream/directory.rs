//! The directory, as the gateway needs it.

use std::time::Duration;

use huddle_domain::{Role, Seq, TeamId, UserId};
use huddle_proto::{
    Refusal,
    directory::v1::{GetMembershipRequest, directory_service_client::DirectoryServiceClient},
    gateway::v1::ErrorCode,
};
use tonic::transport::Channel;

use super::{ServiceToken, bounded, request};

/// How long the question for a membership may take.
const MEMBERSHIP_DEADLINE: Duration = Duration::from_secs(4);

/// What a user is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) role: Role,
    pub(crate) team_archived: bool,
}

/// A client of the directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    client: DirectoryServiceClient<Channel>,
    token: ServiceToken,
}

impl Directory {
    pub(crate) fn new(channel: Channel, token: ServiceToken) -> Self {
        Self { client: DirectoryServiceClient::new(channel), token }
    }

    /// What `user` is in `team` as of `min_seq` or later; `None` when there is no such team or no such member.
    pub(crate) async fn membership(
        &self,
        team: &TeamId,
        user: &UserId,
        min_seq: Seq,
    ) -> Result<Option<Membership>, Refusal> {
        let message = GetMembershipRequest { team: team.to_string(), user: user.to_string(), min_seq: min_seq.get() };
        let mut client = self.client.clone();
        let call = client.get_membership(request(message, &self.token.0, MEMBERSHIP_DEADLINE));
        match bounded(MEMBERSHIP_DEADLINE, call).await {
            Ok(answer) => match answer.role().known() {
                Some(role) => Ok(Some(Membership { role, team_archived: answer.archived })),
                None => Err(Refusal::new(ErrorCode::Internal, "something went wrong inside; retry")),
            },
            Err(refusal) if refusal.code == ErrorCode::NotFound => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}
