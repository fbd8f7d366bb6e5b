//! Reading teams and members.

use std::fmt;

use async_trait::async_trait;
use huddle_domain::{Name, Role, Seq, TeamId, UnixMillis, UserId};

use crate::{Fence, StoreError};

/// Reads teams and members, as of the stored position of each team's partition.
///
/// A read with a [`Fence`] costs one more look-up by key, and fails with [`StoreError::Behind`] where the store is not that
/// far at that very read.
#[async_trait]
pub trait DirectoryStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the team.
    async fn team(&self, team: &TeamId, fence: Option<Fence>) -> Result<Option<Team>, StoreError>;

    /// Returns what each of `users` who is a member is in `team`, each once, in no particular order; nothing when there is no
    /// such team. One round trip whatever the number of users.
    async fn memberships(
        &self,
        team: &TeamId,
        users: &[UserId],
        fence: Option<Fence>,
    ) -> Result<Vec<(UserId, Membership)>, StoreError>;

    /// Returns what `user` is in `team`; `None` when there is no such team or the user is no member.
    async fn membership(
        &self,
        team: &TeamId,
        user: &UserId,
        fence: Option<Fence>,
    ) -> Result<Option<Membership>, StoreError> {
        let found = self.memberships(team, std::slice::from_ref(user), fence).await?;
        Ok(found.into_iter().next().map(|(_, membership)| membership))
    }

    /// Returns how many owners `team` has.
    async fn owner_count(&self, team: &TeamId, fence: Option<Fence>) -> Result<u64, StoreError>;

    /// Returns up to `limit` members of `team` whose user id comes after `after`, by user id (byte order).
    async fn list_members(&self, team: &TeamId, after: Option<&UserId>, limit: u32)
    -> Result<Page<Member>, StoreError>;

    /// Returns up to `limit` teams of `user` whose team id comes after `after`, by team id (byte order).
    async fn list_user_teams(
        &self,
        user: &UserId,
        after: Option<&TeamId>,
        limit: u32,
    ) -> Result<Page<UserTeam>, StoreError>;

    /// Returns the display names of those of `users` whose name is known, each once, in no particular order. One round
    /// trip whatever the number of users.
    async fn user_names(&self, users: &[UserId]) -> Result<Vec<(UserId, Name)>, StoreError>;
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub team: TeamId,
    /// Its name.
    pub name: Name,
    /// Whether it is archived.
    pub archived: bool,
    /// The position of the event that created it.
    pub created_seq: Seq,
    /// When it was created.
    pub created_time: UnixMillis,
}

/// What a user is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The user's role.
    pub role: Role,
    /// Whether the team is archived.
    pub team_archived: bool,
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// The user's display name, when it is known.
    pub name: Option<Name>,
    /// The user's role.
    pub role: Role,
    /// The position of the event that made the user a member.
    pub since_seq: Seq,
}

/// A team of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTeam {
    /// The team.
    pub team: Team,
    /// The user's role in it.
    pub role: Role,
}

/// A page of something, and whether there is more after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more after the last item.
    pub has_more: bool,
}
