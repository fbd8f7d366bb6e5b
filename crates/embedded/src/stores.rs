//! The store's sides of the file, for the handle that writes and the one that only reads.

use async_trait::async_trait;
use huddle_domain::{Event, Name, Partition, SendKey, Seq, TeamId, UserId};
use huddle_store::{
    DirectoryStore, EventStore, Fence, Member, Membership, MentionPosition, Message, MessagePage, MessageQuery, Page,
    PartitionStore, PartitionWriter, StoreError, Team, UserTeam,
};

use crate::{Embedded, ReadOnly, claims, file::Opened, store};

#[async_trait]
impl PartitionStore for Embedded {
    async fn claim(&self, partition: Partition) -> Result<Option<Box<dyn PartitionWriter>>, StoreError> {
        claims::claim(&self.claims, &self.engine, partition).await
    }

    async fn progress(&self, partition: Partition) -> Result<Seq, StoreError> {
        progress(&self.file, partition).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        match self.engine.failure() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Unavailable { context: "checking the store", source: reason.into() }),
        }
    }
}

#[async_trait]
impl PartitionStore for ReadOnly {
    /// Never claims: a handle that only reads cannot write.
    async fn claim(&self, _partition: Partition) -> Result<Option<Box<dyn PartitionWriter>>, StoreError> {
        Ok(None)
    }

    async fn progress(&self, partition: Partition) -> Result<Seq, StoreError> {
        progress(&self.file, partition).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        progress(&self.file, Partition::new(0)).await.map(drop)
    }
}

async fn progress(file: &Opened, partition: Partition) -> Result<Seq, StoreError> {
    let progress = store::progress(&file.reads, partition).await;
    let progress = progress.map_err(|error| store::store_error("reading the progress", error))?;
    Ok(progress.unwrap_or(Seq::ZERO))
}

/// Judges a read before it is made: a file that is open never goes back, so what holds now holds for the read, too.
async fn check(file: &Opened, fence: Option<Fence>) -> Result<(), StoreError> {
    match fence {
        Some(fence) => fence.check(progress(file, fence.partition).await?),
        None => Ok(()),
    }
}

/// Both handles read in the same way.
macro_rules! reads {
    ($handle:ty) => {
        #[async_trait]
        impl EventStore for $handle {
            async fn list_events(
                &self,
                team: &TeamId,
                after: Seq,
                limit: u32,
                fence: Option<Fence>,
            ) -> Result<Page<Event>, StoreError> {
                check(&self.file, fence).await?;
                store::list_events(&self.file.reads, team, after, limit).await
            }

            async fn list_messages(
                &self,
                team: &TeamId,
                query: MessageQuery,
                fence: Option<Fence>,
            ) -> Result<MessagePage, StoreError> {
                check(&self.file, fence).await?;
                store::list_messages(&self.file.reads, team, query).await
            }

            async fn message(
                &self,
                team: &TeamId,
                seq: Seq,
                fence: Option<Fence>,
            ) -> Result<Option<Message>, StoreError> {
                check(&self.file, fence).await?;
                store::message(&self.file.reads, team, seq).await
            }

            async fn list_teams(&self, after: Option<&TeamId>, limit: u32) -> Result<Page<TeamId>, StoreError> {
                store::list_teams(&self.file.reads, after, limit).await
            }

            async fn find_sends(&self, keys: &[SendKey]) -> Result<Vec<Event>, StoreError> {
                store::find_sends(&self.file.reads, keys).await
            }

            async fn list_mentions(
                &self,
                user: &UserId,
                before: Option<&MentionPosition>,
                limit: u32,
            ) -> Result<Page<Message>, StoreError> {
                store::list_mentions(&self.file.reads, user, before, limit).await
            }
        }

        #[async_trait]
        impl DirectoryStore for $handle {
            async fn team(&self, team: &TeamId, fence: Option<Fence>) -> Result<Option<Team>, StoreError> {
                check(&self.file, fence).await?;
                store::team(&self.file.reads, team).await
            }

            async fn memberships(
                &self,
                team: &TeamId,
                users: &[UserId],
                fence: Option<Fence>,
            ) -> Result<Vec<(UserId, Membership)>, StoreError> {
                check(&self.file, fence).await?;
                store::memberships(&self.file.reads, team, users).await
            }

            async fn owner_count(&self, team: &TeamId, fence: Option<Fence>) -> Result<u64, StoreError> {
                check(&self.file, fence).await?;
                store::owner_count(&self.file.reads, team).await
            }

            async fn list_members(
                &self,
                team: &TeamId,
                after: Option<&UserId>,
                limit: u32,
            ) -> Result<Page<Member>, StoreError> {
                store::list_members(&self.file.reads, team, after, limit).await
            }

            async fn list_user_teams(
                &self,
                user: &UserId,
                after: Option<&TeamId>,
                limit: u32,
            ) -> Result<Page<UserTeam>, StoreError> {
                store::list_user_teams(&self.file.reads, user, after, limit).await
            }

            async fn user_names(&self, users: &[UserId]) -> Result<Vec<(UserId, Name)>, StoreError> {
                store::user_names(&self.file.reads, users).await
            }
        }
    };
}

reads!(Embedded);
reads!(ReadOnly);
