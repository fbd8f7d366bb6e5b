//! The log's side of the file.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use huddle_domain::{Event, NewEvent, Partition, Partitions, Seq, TeamId};
use huddle_log::{
    Condition, LOG_PAGE_EVENTS_MAX, LiveFeed, Log, LogError, Pending, PublishError, Reader, StoredFeed, StoredMark,
};

use crate::{
    Embedded, reader,
    store::{events_between, from_bigint},
};

#[async_trait]
impl Log for Embedded {
    fn partitions(&self) -> Partitions {
        self.file.partitions
    }

    /// For good: the rows are there, and the key is unique among them.
    fn duplicate_window(&self) -> Option<Duration> {
        None
    }

    async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
        self.engine.prepare(partition, highest_stored).await
    }

    async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
        self.engine.advance(partition, stored, above).await
    }

    async fn check(&self) -> Result<(), LogError> {
        if let Some(reason) = self.engine.failure() {
            return Err(unavailable("checking the log", reason));
        }
        self.file.partitions.iter().try_for_each(|partition| self.is_prepared(partition))
    }

    async fn publish(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        self.engine.append(event, condition).await
    }

    async fn subscribe(&self, team: &TeamId) -> Result<LiveFeed, LogError> {
        self.is_prepared(self.file.partitions.of(team))?;
        Ok(self.feeds.follow(team))
    }

    async fn read(&self, partition: Partition, after: Seq) -> Result<Reader, LogError> {
        self.is_prepared(partition)?;
        let end = self.feeds.watch_end(partition).ok_or(LogError::Missing { partition })?;
        Ok(reader::read(self.file.reads.clone(), partition, after, end, self.engine.closing().clone()))
    }

    async fn last_seq(&self, team: &TeamId) -> Result<Option<Seq>, LogError> {
        const LAST_SEQ: &str = "SELECT max(seq) FROM events WHERE team_id = ?";
        self.is_prepared(self.file.partitions.of(team))?;
        let seq = sqlx::query_scalar::<_, Option<i64>>(LAST_SEQ).bind(team.as_str()).fetch_one(&self.file.reads).await;
        Ok(seq.map_err(|error| unavailable("asking for a team's last position", error))?.map(from_bigint))
    }

    /// The file has every event since its beginning.
    async fn events_between(
        &self,
        team: &TeamId,
        after: Seq,
        through: Seq,
    ) -> Result<Option<Vec<Arc<Event>>>, LogError> {
        const CONTEXT: &str = "reading a team's events";
        self.is_prepared(self.file.partitions.of(team))?;
        let limit = u32::try_from(LOG_PAGE_EVENTS_MAX).unwrap_or(u32::MAX);
        let page = events_between(&self.file.reads, team, after, through, limit).await;
        let page = page.map_err(|error| unavailable(CONTEXT, error))?;
        let is_whole = page.has_more || page.items.last().is_some_and(|last| last.seq == through);
        Ok(is_whole.then(|| page.items.into_iter().map(Arc::new).collect()))
    }

    async fn announce_stored(&self, mark: StoredMark) -> Result<(), LogError> {
        self.feeds.announce(mark);
        Ok(())
    }

    async fn stored_marks(&self) -> Result<StoredFeed, LogError> {
        Ok(self.feeds.marks())
    }
}

impl Embedded {
    fn is_prepared(&self, partition: Partition) -> Result<(), LogError> {
        self.feeds.end(partition).map(drop).ok_or(LogError::Missing { partition })
    }
}

fn unavailable(context: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LogError {
    LogError::Unavailable { context, source: source.into() }
}
