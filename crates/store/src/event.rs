//! Reading events and messages.

use std::fmt;

use async_trait::async_trait;
use huddle_domain::{Body, ClientId, Event, SendKey, Seq, Tags, TeamId, UnixMillis, UserId};

use crate::{Fence, Page, StoreError};

/// Reads teams' events and messages. Every page is found by its key: page 1 and page 1,000,000 cost the same.
///
/// A read with a [`Fence`] costs one more look-up by key, and fails with [`StoreError::Behind`] where the store is not that
/// far at that very read.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Returns up to `limit` events of `team` with a position above `after`, oldest first, `prev_seq` filled in.
    async fn list_events(
        &self,
        team: &TeamId,
        after: Seq,
        limit: u32,
        fence: Option<Fence>,
    ) -> Result<Page<Event>, StoreError>;

    /// Returns a page of the messages of `team`.
    async fn list_messages(
        &self,
        team: &TeamId,
        query: MessageQuery,
        fence: Option<Fence>,
    ) -> Result<MessagePage, StoreError>;

    /// Returns the message of `team` that was posted at `seq`.
    async fn message(&self, team: &TeamId, seq: Seq, fence: Option<Fence>) -> Result<Option<Message>, StoreError>;

    /// Returns up to `limit` teams that have events, whose team id comes after `after`, by team id (byte order).
    async fn list_teams(&self, after: Option<&TeamId>, limit: u32) -> Result<Page<TeamId>, StoreError>;

    /// Returns the events that are stored under any of `keys`, in no particular order; `prev_seq` is not filled in
    /// (0). One round trip whatever the number of keys.
    async fn find_sends(&self, keys: &[SendKey]) -> Result<Vec<Event>, StoreError>;

    /// Returns up to `limit` messages that mention `user`, of the teams that the user is in now, before `before`, newest
    /// first: descending by [`MentionPosition`]. Messages of teams that the user has left are passed over one by one.
    async fn list_mentions(
        &self,
        user: &UserId,
        before: Option<&MentionPosition>,
        limit: u32,
    ) -> Result<Page<Message>, StoreError>;
}

/// The place of a message among those that mention a user: by time, then by team (byte order) and position, because
/// positions of different teams cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MentionPosition {
    /// When the log took it.
    pub time: UnixMillis,
    /// The team.
    pub team: TeamId,
    /// The position of the event that posted it.
    pub seq: Seq,
}

impl From<&Message> for MentionPosition {
    fn from(message: &Message) -> Self {
        Self { time: message.time, team: message.team.clone(), seq: message.seq }
    }
}

/// A message in its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The team.
    pub team: TeamId,
    /// The position of the event that posted it.
    pub seq: Seq,
    /// When the log took it.
    pub time: UnixMillis,
    /// Who sent it.
    pub sender: UserId,
    /// The sender's id for the send.
    pub client_id: ClientId,
    /// The text.
    pub body: Body,
    /// Whom it mentions, and what it is about.
    pub tags: Tags,
}

/// Which messages of a team, how many, which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageQuery {
    /// Where the page lies.
    pub position: MessagePosition,
    /// At most this many messages; at least 1.
    pub limit: u32,
    /// Which way the page runs.
    pub order: Order,
}

/// Where a page of messages lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePosition {
    /// The newest ones.
    Newest,
    /// The oldest ones.
    Oldest,
    /// Those nearest below this position (exclusive).
    Before(Seq),
    /// Those nearest above this position (exclusive).
    After(Seq),
    /// Half of the limit (rounded up) at or below this position, the rest above it.
    Around(Seq),
}

/// Which way a page runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Descending positions.
    NewestFirst,
    /// Ascending positions.
    OldestFirst,
}

/// A page of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages, in the order asked for.
    pub messages: Vec<Message>,
    /// Whether there are older ones than the oldest here.
    pub has_older: bool,
    /// Whether there are newer ones than the newest here.
    pub has_newer: bool,
}
