//! A log some of whose copies have holes.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::ready};
use huddle_domain::{Event, NewEvent, Partition, Partitions, Seq, TeamId};
use huddle_log::{Condition, LiveFeed, Log, LogError, Pending, PublishError, Reader, StoredFeed, StoredMark};
use huddle_log_nats::NatsLog;

/// The log, read from a damaged copy at first.
#[derive(Debug)]
pub(crate) struct Holed {
    pub(crate) log: Arc<NatsLog>,
    /// What the damaged copy does not have.
    pub(crate) holes: Vec<RangeInclusive<u64>>,
    /// How many readers get the damaged copy.
    pub(crate) damaged_reads: u32,
    pub(crate) reads: AtomicU32,
}

impl Holed {
    /// Readers beyond the first `damaged_reads` get a whole copy.
    pub(crate) fn new(log: Arc<NatsLog>, damaged_reads: u32, holes: Vec<RangeInclusive<u64>>) -> Arc<Self> {
        Arc::new(Self { log, holes, damaged_reads, reads: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Log for Holed {
    async fn read(&self, partition: Partition, after: Seq) -> Result<Reader, LogError> {
        let reader = self.log.read(partition, after).await?;
        if self.reads.fetch_add(1, Ordering::Relaxed) >= self.damaged_reads {
            return Ok(reader);
        }
        let holes = self.holes.clone();
        let is_there = move |entry: &Result<huddle_log::Entry, LogError>| match entry {
            Ok(entry) => !holes.iter().any(|hole| hole.contains(&entry.seq.get())),
            Err(_) => true,
        };
        Ok(reader.filter(move |entry| ready(is_there(entry))).boxed())
    }

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    fn duplicate_window(&self) -> Option<Duration> {
        self.log.duplicate_window()
    }

    async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
        self.log.prepare(partition, highest_stored).await
    }

    async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
        self.log.advance(partition, stored, above).await
    }

    async fn check(&self) -> Result<(), LogError> {
        self.log.check().await
    }

    async fn publish(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        self.log.publish(event, condition).await
    }

    async fn subscribe(&self, team: &TeamId) -> Result<LiveFeed, LogError> {
        self.log.subscribe(team).await
    }

    async fn last_seq(&self, team: &TeamId) -> Result<Option<Seq>, LogError> {
        self.log.last_seq(team).await
    }

    async fn events_between(
        &self,
        team: &TeamId,
        after: Seq,
        through: Seq,
    ) -> Result<Option<Vec<Arc<Event>>>, LogError> {
        self.log.events_between(team, after, through).await
    }

    async fn announce_stored(&self, mark: StoredMark) -> Result<(), LogError> {
        self.log.announce_stored(mark).await
    }

    async fn stored_marks(&self) -> Result<StoredFeed, LogError> {
        self.log.stored_marks().await
    }
}
