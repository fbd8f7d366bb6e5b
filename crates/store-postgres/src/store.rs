//! Owns the handle: the shared connections for reads, and the way to make those of writers.

use std::sync::{Arc, atomic::AtomicBool};

use async_trait::async_trait;
use huddle_domain::{Event, Name, Partition, SendKey, Seq, TeamId, UserId};
use huddle_store::{
    DirectoryStore, EventStore, Fence, Member, Membership, MentionPosition, Message, MessagePage, MessageQuery, Page,
    PartitionStore, PartitionWriter, StoreError, Team, UserTeam,
};
use sqlx::PgPool;

use crate::{Config, connect::Connector, directory, events, partition, schema};

/// The store in Postgres. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(crate) connector: Connector,
    pub(crate) pool: PgPool,
    /// There was a warning that the schema is newer than this version.
    pub(crate) has_told_newer: Arc<AtomicBool>,
}

impl PostgresStore {
    /// A store that connects when it is first used.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the URL is not one of Postgres, or another setting is out of its bounds.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        let connector = Connector::new(config)?;
        let pool = connector.pool();
        Ok(Self { connector, pool, has_told_newer: Arc::default() })
    }

    /// A store that answers now and has this version's schema. Takes as long as acquiring a connection may.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached; [`StoreError::Unsuitable`] with what to do about it when
    /// its schema is missing, older or newer, or when it refuses the user.
    pub async fn connect(config: &Config) -> Result<Self, StoreError> {
        let store = Self::new(config)?;
        schema::check_for_start(&store).await?;
        Ok(store)
    }
}

#[async_trait]
impl PartitionStore for PostgresStore {
    async fn claim(&self, partition: Partition) -> Result<Option<Box<dyn PartitionWriter>>, StoreError> {
        partition::claim(self, partition).await
    }

    async fn progress(&self, partition: Partition) -> Result<Seq, StoreError> {
        partition::progress(self, partition).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        schema::check(self).await
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn list_events(
        &self,
        team: &TeamId,
        after: Seq,
        limit: u32,
        fence: Option<Fence>,
    ) -> Result<Page<Event>, StoreError> {
        events::list_events(self, team, after, limit, fence).await
    }

    async fn list_messages(
        &self,
        team: &TeamId,
        query: MessageQuery,
        fence: Option<Fence>,
    ) -> Result<MessagePage, StoreError> {
        events::list_messages(self, team, query, fence).await
    }

    async fn message(&self, team: &TeamId, seq: Seq, fence: Option<Fence>) -> Result<Option<Message>, StoreError> {
        events::message(self, team, seq, fence).await
    }

    async fn list_teams(&self, after: Option<&TeamId>, limit: u32) -> Result<Page<TeamId>, StoreError> {
        events::list_teams(self, after, limit).await
    }

    async fn find_sends(&self, keys: &[SendKey]) -> Result<Vec<Event>, StoreError> {
        events::find_sends(self, keys).await
    }

    async fn list_mentions(
        &self,
        user: &UserId,
        before: Option<&MentionPosition>,
        limit: u32,
    ) -> Result<Page<Message>, StoreError> {
        events::list_mentions(self, user, before, limit).await
    }
}

#[async_trait]
impl DirectoryStore for PostgresStore {
    async fn team(&self, team: &TeamId, fence: Option<Fence>) -> Result<Option<Team>, StoreError> {
        directory::team(self, team, fence).await
    }

    async fn memberships(
        &self,
        team: &TeamId,
        users: &[UserId],
        fence: Option<Fence>,
    ) -> Result<Vec<(UserId, Membership)>, StoreError> {
        directory::memberships(self, team, users, fence).await
    }

    async fn owner_count(&self, team: &TeamId, fence: Option<Fence>) -> Result<u64, StoreError> {
        directory::owner_count(self, team, fence).await
    }

    async fn list_members(
        &self,
        team: &TeamId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Page<Member>, StoreError> {
        directory::list_members(self, team, after, limit).await
    }

    async fn list_user_teams(
        &self,
        user: &UserId,
        after: Option<&TeamId>,
        limit: u32,
    ) -> Result<Page<UserTeam>, StoreError> {
        directory::list_user_teams(self, user, after, limit).await
    }

    async fn user_names(&self, users: &[UserId]) -> Result<Vec<(UserId, Name)>, StoreError> {
        directory::user_names(self, users).await
    }
}
