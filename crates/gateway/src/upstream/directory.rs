//! The directory, as the gateway needs it.

use std::{collections::HashMap, time::Duration};

use huddle_domain::{Name, Role, Seq, TeamId, UserId};
use huddle_proto::{
    Refusal,
    directory::v1::{
        GetMembershipsRequest, GetUserNamesRequest, ListUserTeamsRequest,
        directory_service_client::DirectoryServiceClient,
    },
    gateway::v1::ErrorCode,
};
use tonic::transport::Channel;

use super::{ServiceToken, bounded, request};
use crate::metrics::GatewayMetrics;

/// How long the question for memberships may take.
const MEMBERSHIP_DEADLINE: Duration = Duration::from_secs(4);
/// How long a page of a user's teams may take.
const TEAMS_DEADLINE: Duration = Duration::from_secs(4);
/// How long the question for names may take: events wait for it. Without an answer people are shown their ids.
const NAMES_DEADLINE: Duration = Duration::from_millis(500);
/// Teams per page, which is the most that the directory gives.
const PAGE_TEAMS: u32 = 1_000;
/// Users per question for memberships, which is the most that the directory takes.
pub(crate) const USERS_PER_QUESTION_MAX: usize = 1_000;
/// Users per question for names, which is the most that the directory takes.
pub(crate) const NAMES_PER_QUESTION_MAX: usize = 1_000;

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
    metrics: GatewayMetrics,
}

impl Directory {
    pub(crate) fn new(channel: Channel, token: ServiceToken, metrics: GatewayMetrics) -> Self {
        Self { client: DirectoryServiceClient::new(channel), token, metrics }
    }

    /// What each of `users` who is a member is in `team`, as of `min_seq` or later. At most [`USERS_PER_QUESTION_MAX`]
    /// users.
    pub(crate) async fn memberships(
        &self,
        team: &TeamId,
        users: &[UserId],
        min_seq: Seq,
    ) -> Result<HashMap<UserId, Membership>, Refusal> {
        let users = users.iter().map(ToString::to_string).collect();
        let message = GetMembershipsRequest { team: team.to_string(), users, min_seq: min_seq.get() };
        self.metrics.upstream_call("get_memberships");
        let mut client = self.client.clone();
        let call = client.get_memberships(request(message, &self.token.0, MEMBERSHIP_DEADLINE));
        let answer = bounded(MEMBERSHIP_DEADLINE, call).await?;
        let team_archived = answer.archived;
        let membership = |entry: huddle_proto::directory::v1::Membership| {
            let role = entry.role().known()?;
            Some((UserId::parse(&entry.user).ok()?, Membership { role, team_archived }))
        };
        let memberships = answer.memberships.into_iter().map(membership).collect::<Option<_>>();
        memberships.ok_or_else(|| Refusal::new(ErrorCode::Internal, "something went wrong inside; retry"))
    }

    /// The teams of `user`, by team id, and at most `teams_max` of them.
    pub(crate) async fn teams_of(&self, user: &UserId, teams_max: usize) -> Result<Vec<TeamId>, Refusal> {
        let mut teams: Vec<TeamId> = Vec::new();
        loop {
            let message = ListUserTeamsRequest {
                user: user.to_string(),
                after_team: teams.last().map(ToString::to_string).unwrap_or_default(),
                limit: PAGE_TEAMS,
            };
            self.metrics.upstream_call("list_user_teams");
            let mut client = self.client.clone();
            let call = client.list_user_teams(request(message, &self.token.0, TEAMS_DEADLINE));
            let page = bounded(TEAMS_DEADLINE, call).await?;
            let ids = page.teams.into_iter().filter_map(|entry| TeamId::parse(&entry.team?.team).ok());
            let before = teams.len();
            teams.extend(ids);
            if !page.has_more || teams.len() == before || teams.len() >= teams_max {
                teams.truncate(teams_max);
                return Ok(teams);
            }
        }
    }

    /// The display names of `users`, as far as they are known. At most [`NAMES_PER_QUESTION_MAX`] users.
    pub(crate) async fn user_names(&self, users: &[UserId]) -> Result<HashMap<UserId, Name>, Refusal> {
        let message = GetUserNamesRequest { users: users.iter().map(ToString::to_string).collect() };
        self.metrics.upstream_call("get_user_names");
        let mut client = self.client.clone();
        let call = client.get_user_names(request(message, &self.token.0, NAMES_DEADLINE));
        let answer = bounded(NAMES_DEADLINE, call).await?;
        let name = |entry: huddle_proto::directory::v1::UserName| {
            Some((UserId::parse(&entry.user).ok()?, Name::parse(&entry.name).ok()?))
        };
        Ok(answer.names.into_iter().filter_map(name).collect())
    }
}
