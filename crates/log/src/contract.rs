//! The contract of the log.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use huddle_domain::{Event, NewEvent, Partition, Partitions, Seq, TeamId, UnixMillis};

use crate::{Condition, LogError, Pending, PublishError};

/// The live events of one team. Ends only when the log handle is dropped.
pub type LiveFeed = BoxStream<'static, LiveItem>;

/// The entries of one partition, ascending. Ends after an error.
pub type Reader = BoxStream<'static, Result<Entry, LogError>>;

/// Stored watermarks of all partitions. Ends only when the log handle is dropped.
pub type StoredFeed = BoxStream<'static, StoredMark>;

/// Most events that [`Log::events_between`] returns at once: some 4 MiB of the largest.
pub const LOG_PAGE_EVENTS_MAX: usize = 256;

/// One item of a live feed.
#[derive(Debug, Clone)]
pub enum LiveItem {
    /// An event, with `seq`, `prev_seq` and `time` as the log assigned them. Events ascend within a feed, except that
    /// one may arrive again.
    Event(Arc<Event>),
    /// The feed may have missed events before this point (a lost connection, a full buffer). The reader compares its
    /// position with [`Log::last_seq`] and fills the gap from history.
    Interrupted,
}

/// What stands at one position of a partition.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The position.
    pub seq: Seq,
    /// When the log took it.
    pub time: UnixMillis,
    /// What stands there.
    pub content: EntryContent,
}

/// The content of an [`Entry`].
#[derive(Debug, Clone)]
pub enum EntryContent {
    /// An event.
    Event(NewEvent),
    /// Something that this version cannot read as an event.
    Undecodable {
        /// The team in whose log it stands, as far as that can be told.
        team: Option<TeamId>,
        /// The bytes as they stand in the log.
        payload: Vec<u8>,
        /// Why they are no event; holds nothing of the payload.
        reason: String,
    },
}

/// How far a partition is committed to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMark {
    /// The partition.
    pub partition: Partition,
    /// Everything up to this position is committed.
    pub seq: Seq,
}

/// The log of all teams: an ordered, durable, deduplicated sequence per partition, with a live feed per team.
///
/// Handles are shared by `Arc`; every method may be called concurrently. All futures are cancel safe unless their doc
/// says otherwise. All waits are bounded by the implementation (seconds, not minutes) and end in
/// [`LogError::Unavailable`].
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// How many partitions there are; fixed for the life of the log.
    fn partitions(&self) -> Partitions;

    /// How long the log recognises an event's key, at least: `None` = for good, and then nobody else has to.
    fn duplicate_window(&self) -> Option<Duration>;

    /// Makes sure that `partition` exists and is fit for use. A partition that is missing is created empty, and starts
    /// at least [`huddle_domain::limits::SEQ_GAP_OF_NEW_LOG`] above `highest_stored`. One that exists is checked: other
    /// settings than this version needs, or a last position below `highest_stored`, are
    /// [`LogError::Unsuitable`]. Called by the process that owns the store, before anything is published; idempotent,
    /// and safe to call from several processes at once.
    async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError>;

    /// Makes every position that `partition` will assign from now on greater than `above`, by leaving a hole: for events
    /// that come with positions of their own from elsewhere. Returns a position at or above `above` after which the log
    /// goes on. Appends nothing, loses nothing that was acknowledged, and changes nothing when the log is past `above`
    /// already. Idempotent.
    ///
    /// Called by the owner of the store, with `stored` as far as the store is committed. Entries beyond `stored` may be in
    /// the way of a log that keeps them in one run with what follows: such a log answers [`LogError::Unsuitable`]
    /// and changes nothing. Events that are published meanwhile may be refused as retryable.
    async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError>;

    /// Whether the log can be reached and every partition is there and fit: one bounded round trip per partition.
    async fn check(&self) -> Result<(), LogError>;

    /// Queues `event` for appending and returns as soon as it has its place in the queue; the outcome is what the
    /// returned [`Pending`] resolves to. Waits while the queue, which is bounded, is full.
    ///
    /// Order: of two events of one team, the one whose `publish` returned first gets the lower position, as long as
    /// both go through this handle and neither fails.
    ///
    /// Idempotence: an event whose key ([`NewEvent::key`]) is in the log already, within
    /// [`Log::duplicate_window`] (at least 2 minutes), resolves to the first one's position with `duplicate` set when the content is the same, and
    /// to [`PublishError::Conflict`] when it is not. This holds across processes and under concurrency.
    ///
    /// Durability: when `Pending` resolves to `Ok`, the event survives whatever the log is configured to survive.
    /// [`PublishError::Unavailable`] leaves the outcome unknown: the event may be in the log, or get there later;
    /// publishing it again settles it.
    ///
    /// # Cancel safety
    /// Dropping the `publish` future before it returns queues nothing. Dropping the `Pending` changes nothing: the
    /// event is appended all the same.
    async fn publish(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError>;

    /// Follows the events of `team` that are appended from now on: every event that is not yet covered by a
    /// [`Log::last_seq`] asked after this returns will be on the feed, or an [`LiveItem::Interrupted`] in its place.
    async fn subscribe(&self, team: &TeamId) -> Result<LiveFeed, LogError>;

    /// Reads `partition` from the first entry after `after`, without end, waiting for entries to come. Entries ascend,
    /// and each appears once. Positions are dense where nothing has been lost: a hole is for the caller to notice.
    /// Reading ends with an error when the log cannot be read for longer than the implementation's patience; the
    /// caller starts again from its own position.
    async fn read(&self, partition: Partition, after: Seq) -> Result<Reader, LogError>;

    /// The position of `team`'s last event in the log; `None` when the log holds none (any longer). Not behind any
    /// append that was acknowledged before the call.
    async fn last_seq(&self, team: &TeamId) -> Result<Option<Seq>, LogError>;

    /// Reads events of `team` from the log itself: those after `after` and up to `through`, ascending, at most
    /// [`LOG_PAGE_EVENTS_MAX`]; there are more when the last one's position is below `through`. Each names the one before
    /// it in the log, the first one of the page at or below `after`. `through` is the position of an event of the team,
    /// above `after`. Entries that cannot be read as events are left out.
    ///
    /// `None`: the log does not reach back to `after` (any longer), or the copy that answered does not reach to `through`
    /// (yet). Then history knows, or will.
    async fn events_between(
        &self,
        team: &TeamId,
        after: Seq,
        through: Seq,
    ) -> Result<Option<Vec<Arc<Event>>>, LogError>;

    /// Tells everyone who listens that `partition` is committed up to `seq`. Not logged; may be lost.
    async fn announce_stored(&self, mark: StoredMark) -> Result<(), LogError>;

    /// Follows the announcements of [`Log::announce_stored`] from now on. They may repeat and may be lost, but each
    /// partition's is announced at least every second while it has an owner.
    async fn stored_marks(&self) -> Result<StoredFeed, LogError>;
}
