//! Where imported events come from.

use async_trait::async_trait;
use huddle_domain::{Event, Seq, TeamId};

use crate::FileError;

/// Most events in one [`Item::Events`]: they are held in memory, and stored in one transaction.
pub const CHUNK_EVENTS_MAX: usize = 1_000;

/// Something that teams and their events can be imported from.
///
/// Teams come one after the other, in the order of the plan: all events of a team, then its [`Item::TeamEnd`]. Two
/// sources of the same data yield the same events: an import that was interrupted is continued with a new source, from
/// its beginning.
#[async_trait]
pub trait Source: Send {
    /// The teams that will come, each once, and how far their events reach. Known before the first item: progress is
    /// measured by it, and the log is moved above the highest position before anything is stored.
    fn plan(&self) -> &[TeamPlan];

    /// The next item; `None` after the last team's end. After an error or `None` it is not called again.
    async fn next(&mut self) -> Result<Option<Item>, SourceError>;
}

/// What is known of a team before its events are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamPlan {
    /// The team.
    pub team: TeamId,
    /// The position of its last event; at least 1.
    pub last_seq: Seq,
    /// How many events it has; at least 1.
    pub events: u64,
}

/// A step of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The next events of a team.
    Events {
        /// The team.
        team: TeamId,
        /// 1 to [`CHUNK_EVENTS_MAX`] events of the team, ascending, above all that came before, each with the position
        /// of the team's event before it as its `prev_seq` (0 for the team's first).
        events: Vec<Event>,
    },
    /// All events of a team have come.
    TeamEnd(TeamSummary),
}

/// What a team's events were, for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamSummary {
    /// The team.
    pub team: TeamId,
    /// How many events it has.
    pub events: u64,
    /// The position of its last event.
    pub last_seq: Seq,
    /// The [`Digest`](crate::Digest) of its events.
    pub sha256: [u8; 32],
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An export's file is not whole.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source cannot be read: a database that does not answer, a file that is not there. The same import, run again
    /// later, may succeed.
    #[error("cannot read {what}")]
    Unreadable {
        /// What was being read, such as a file, or a table and its database without credentials.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The source holds something that cannot be imported.
    #[error("{place}: {problem}; {remedy}")]
    Invalid {
        /// Where it stands, such as a file and line, or a table and row.
        place: String,
        /// What is wrong with it; holds nothing of a message.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
}
