//! Writing: one owner per partition, position and data in one transaction.

use std::fmt;

use async_trait::async_trait;
use huddle_domain::{Event, Partition, Seq, TeamId, UnixMillis};

use crate::StoreError;

/// Claims partitions and says how far they are stored.
#[async_trait]
pub trait PartitionStore: fmt::Debug + Send + Sync + 'static {
    /// Claims `partition` for writing; `None` when another writer has it. The claim is bound to the connection that
    /// writes: when the connection or its process dies, the claim is free, and nothing can be written under it.
    async fn claim(&self, partition: Partition) -> Result<Option<Box<dyn PartitionWriter>>, StoreError>;

    /// How far `partition` is committed; [`Seq::ZERO`] when nothing is.
    async fn progress(&self, partition: Partition) -> Result<Seq, StoreError>;

    /// Whether the store can be reached and this version can go on working with its schema: one bounded round trip. A newer
    /// schema is good for that, though not for a start.
    async fn check(&self) -> Result<(), StoreError>;
}

/// The one writer of a partition. Dropping it gives the claim up.
#[async_trait]
pub trait PartitionWriter: fmt::Debug + Send + 'static {
    /// How far the partition was committed when this writer last looked: at the claim, or after the last batch.
    fn progress(&self) -> Seq;

    /// Applies `batch` and moves the position to `batch.through`, all in one transaction. Items at or below the present
    /// position are skipped: applying is idempotent.
    ///
    /// An item that cannot be applied becomes a dead letter and does not keep the others from being applied: an event
    /// under a key that is stored already ([`DeadLetterReason::LateDuplicate`]), one whose position is taken by
    /// another event ([`DeadLetterReason::SeqTaken`]), one that the store refuses for its content
    /// ([`DeadLetterReason::Refused`]).
    ///
    /// The batch's gaps are put on record in the same transaction; one that is on record already stays as it is.
    ///
    /// After an error the transaction's outcome may be unknown: drop this writer, claim again, and go on from the
    /// position that the new one reports.
    async fn apply(&mut self, batch: Batch) -> Result<Applied, StoreError>;

    /// Stores events that have a history elsewhere, under the positions that they bring, in one transaction: whatever
    /// the partition's own position is, which stays where it is. `events` ascend within each team. What they mean to
    /// teams and members is written as by [`apply`](Self::apply), in the order of the positions: where the store has
    /// later events about a team, all that it has of the team is gone through again. Idempotent: an event that is stored already, the same
    /// in position, key and content, is counted as present.
    ///
    /// Another event at the position or under the key is a conflict: nothing of `events` is stored then.
    ///
    /// Readers may see no event above the partition's position: the caller moves the log
    /// ([`advance`](../huddle_log/trait.Log.html)) and the position above all of them first.
    async fn import(&mut self, events: Vec<Event>) -> Result<Imported, StoreError>;

    /// Makes sure that the claim still holds: one bounded round trip. For quiet times: an owner that neither applies
    /// nor confirms for 3 s may lose its claim to whoever wants the partition.
    async fn confirm(&mut self) -> Result<(), StoreError>;
}

/// A run of one partition's log.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What to apply, ascending by position.
    pub items: Vec<BatchItem>,
    /// The position to move to: that of the last entry read, at or above the last item's.
    pub through: Seq,
    /// Stretches of the run that are missing from the log, up to `through`.
    pub gaps: Vec<LogGap>,
}

/// A stretch of positions that is missing from the log: their events, if there were any, are not stored. An alarm, because
/// a log never forgets in its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogGap {
    /// The last position before it.
    pub after: Seq,
    /// The first position after it; at least 2 above `after`.
    pub before: Seq,
}

impl fmt::Display for LogGap {
    /// The missing positions, both ends included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.after.next(), self.before.get().saturating_sub(1))
    }
}

/// A gap as the store has it on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedGap {
    /// The partition of the log.
    pub partition: Partition,
    /// What is missing.
    pub gap: LogGap,
    /// When it was put on record, by the store's clock.
    pub found_at: UnixMillis,
}

/// One entry of a batch.
#[derive(Debug, Clone)]
pub enum BatchItem {
    /// An event to store. Its `prev_seq` is ignored: the store derives it.
    Event(Event),
    /// An entry that is known not to be applicable.
    DeadLetter(DeadLetter),
}

impl BatchItem {
    /// The entry's position.
    pub fn seq(&self) -> Seq {
        match self {
            Self::Event(event) => event.seq,
            Self::DeadLetter(letter) => letter.seq,
        }
    }
}

/// An entry of the log that was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its position.
    pub seq: Seq,
    /// When the log took it.
    pub time: UnixMillis,
    /// The team, as far as it is known.
    pub team: Option<TeamId>,
    /// Why it was not applied.
    pub reason: DeadLetterReason,
    /// The reason in words; holds nothing of the payload.
    pub detail: String,
    /// The payload as it stands in the log; empty when it is not at hand.
    pub payload: Vec<u8>,
}

/// Why an entry of the log was not applied. A closed set: it labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The payload is no event that this version can read.
    Undecodable,
    /// The key is stored already, at another position: a retry that came after the log's duplicate window.
    LateDuplicate,
    /// Another event has the position: the log was replaced without a gap. An alarm.
    SeqTaken,
    /// The store refuses the content.
    Refused,
}

impl DeadLetterReason {
    /// The reason's name, in the store and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::LateDuplicate => "late_duplicate",
            Self::SeqTaken => "seq_taken",
            Self::Refused => "refused",
        }
    }
}

/// What became of events that were imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many events were stored.
    pub stored: usize,
    /// How many had been stored before.
    pub present: usize,
    /// What is in the way, event by event; when there is any, nothing was stored.
    pub conflicts: Vec<(Seq, DeadLetterReason)>,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// How far the partition is committed now.
    pub through: Seq,
    /// How many events were stored.
    pub stored: usize,
    /// The entries that became dead letters, those of the batch included.
    pub dead_letters: Vec<(Seq, DeadLetterReason)>,
}
