//! What an export or an import tells of its way, for whoever watches.

use crate::TeamSummary;

/// A step of an export or an import.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The teams are being counted; so far there are these.
    Counting {
        /// Teams that are counted.
        teams: u64,
        /// Their events.
        events: u64,
    },
    /// It is known what there is to do.
    Planned {
        /// Teams in all.
        teams: u64,
        /// Their events.
        events: u64,
    },
    /// An export goes on in the file of one that was interrupted.
    Continued {
        /// Events that the file has already.
        events: u64,
    },
    /// Events were written to the file or stored, or found there.
    Moved {
        /// How many more.
        events: u64,
        /// How many of them had been stored before; 0 in an export.
        present: u64,
    },
    /// All events of a team were moved.
    TeamMoved(&'a TeamSummary),
    /// Everything is stored, and is now read back.
    Verifying,
    /// Events were read back.
    ReadBack {
        /// How many more.
        events: u64,
    },
    /// A team was read back and is what it was at the source.
    TeamVerified(&'a TeamSummary),
}

/// Watches an export or an import.
pub trait Progress: Send {
    /// Takes note of a step. Called often: at least once for each page or chunk of events.
    fn step(&mut self, step: Step<'_>);
}

/// Watches nothing.
impl Progress for () {
    fn step(&mut self, _: Step<'_>) {}
}
