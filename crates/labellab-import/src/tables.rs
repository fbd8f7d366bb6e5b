//! Owns what LabelLab's tables hold, wherever they lie.

use std::fmt;

use async_trait::async_trait;
use huddle_domain::UnixMillis;
use huddle_transfer::SourceError;

/// Messages that are read at once. They are held in memory.
pub(crate) const PAGE_ROWS: usize = huddle_transfer::CHUNK_EVENTS_MAX;

/// LabelLab's tables, as they were at one moment.
#[async_trait]
pub(crate) trait Tables: fmt::Debug + Send {
    /// Names the database or the directory in texts; holds no credentials.
    fn place(&self) -> &str;

    /// Everything but the messages, each list ascending by id.
    async fn people(&mut self) -> Result<People, SourceError>;

    /// The next messages, at most [`PAGE_ROWS`]; none when all have come. Every message comes once.
    async fn next_page(&mut self) -> Result<Vec<MessageRow>, SourceError>;

    /// The messages under `keys` (ascending by id), in this order. A message that is gone is left out.
    async fn messages(&mut self, keys: &[Key]) -> Result<Vec<MessageRow>, SourceError>;
}

/// Where a message can be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its id.
    pub(crate) id: i64,
    /// Where its row begins in its file, in bytes; 0 in a database.
    pub(crate) offset: u64,
}

/// A row of `message`. Not printable, for its text.
#[derive(Clone)]
pub(crate) struct MessageRow {
    pub(crate) key: Key,
    pub(crate) body: String,
    pub(crate) team: i64,
    pub(crate) user: i64,
    /// What the thing is that it points to: `issue`, `log`, or nothing.
    pub(crate) entity_type: Option<String>,
    /// Which one.
    pub(crate) entity_id: Option<i64>,
    /// `None` when it cannot be read.
    pub(crate) time: Option<UnixMillis>,
}

/// All rows of the smaller tables.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) teams: Vec<TeamRow>,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) users: Vec<UserRow>,
    /// Empty when there is no such table.
    pub(crate) projects: Vec<ProjectRow>,
}

/// A row of `team`.
#[derive(Debug, Clone)]
pub(crate) struct TeamRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) role: Option<String>,
    pub(crate) project: Option<i64>,
}

/// A row of `projectmember`: a member of a team.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberRow {
    pub(crate) id: i64,
    pub(crate) user: i64,
    pub(crate) team: i64,
}

/// A row of `user`.
#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    pub(crate) id: i64,
    pub(crate) username: String,
    /// When the account was made.
    pub(crate) since: Option<UnixMillis>,
}

/// A row of `project`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProjectRow {
    pub(crate) id: i64,
    /// Its owner.
    pub(crate) admin: i64,
}
