//! What can be wrong with an export's file.

use std::io;

use huddle_domain::{Seq, TeamId};
use huddle_proto::EventError;

use super::{VERSION, lines::LINE_BYTES_MAX};

/// A file is not a whole export. Lines count from 1. The texts hold nothing of a message.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("line {line}: the file cannot be read; try again")]
    Read {
        /// The line that was being read.
        line: u64,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The file does not begin as an export does.
    #[error("line 1: this is no export of huddle: choose a file that `huddle export` wrote")]
    NotAnExport,
    /// The file has another version of the format.
    #[error(
        "line 1: the file has version {found} of the format, and this program reads version {VERSION}: import it with \
         a program of the version that wrote it, or a newer one"
    )]
    Version {
        /// The file's version.
        found: u64,
    },
    /// The file ends before its end line.
    #[error(
        "line {line}: the file ends here, before its end line: it was cut off; run the export again, which goes on \
         in FILE.part, or copy the file again"
    )]
    Truncated {
        /// The line that is missing or not whole.
        line: u64,
    },
    /// There is something after the end line.
    #[error("line {line}: the export ended in the line before: remove what comes after it")]
    AfterEnd {
        /// The first line too many.
        line: u64,
    },
    /// A line is longer than any of an export.
    #[error("line {line}: it is longer than {LINE_BYTES_MAX} bytes, so the file is damaged: export again")]
    TooLong {
        /// The line.
        line: u64,
    },
    /// A line is no JSON.
    #[error("line {line}: it is no JSON from column {column} on, so the file is damaged: export again")]
    NotJson {
        /// The line.
        line: u64,
        /// Where in the line, from 1.
        column: usize,
    },
    /// A line is of no kind that this version knows.
    #[error(
        "line {line}: lines that begin with {kind:?} are not known to this version: import the file with a newer program"
    )]
    UnknownKind {
        /// The line.
        line: u64,
        /// The line's first key, shortened.
        kind: String,
    },
    /// A line is of a kind that is known, and its content is not what the kind has.
    #[error("line {line}: it is not a line of an export from column {column} on, so the file is damaged: export again")]
    Malformed {
        /// The line.
        line: u64,
        /// Where in the line, from 1.
        column: usize,
    },
    /// A line is no event that this version can take.
    #[error("line {line}: {source}; import the file with a newer program, or export again")]
    Event {
        /// The line.
        line: u64,
        /// What is wrong.
        source: EventError,
    },
    /// A line is not what comes next in an export.
    #[error("line {line}: {expected} comes here, so the file is damaged: export again")]
    Unexpected {
        /// The line.
        line: u64,
        /// What an export has there.
        expected: &'static str,
    },
    /// The plan contradicts itself.
    #[error("line {line}: {problem}, so the plan is damaged: export again")]
    Plan {
        /// The line.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// An event does not follow the one before it.
    #[error(
        "line {line}: the event at {seq} of team {team} names {prev_seq} as the one before it, and the file has {after} \
         there: events are missing or out of order; export again"
    )]
    OutOfOrder {
        /// The line.
        line: u64,
        /// The team.
        team: TeamId,
        /// The event's position.
        seq: Seq,
        /// Its `prev_seq`.
        prev_seq: Seq,
        /// The position of the event that the file has before it.
        after: Seq,
    },
    /// A team has other events than its plan or its end line say.
    #[error(
        "line {line}: team {team} has {found} events up to {found_seq} here, and {events} up to {last_seq} by its {by}: \
         events are missing or too many; export again"
    )]
    Count {
        /// The line.
        line: u64,
        /// The team.
        team: TeamId,
        /// Events in the file.
        found: u64,
        /// The last one's position.
        found_seq: Seq,
        /// How many there should be.
        events: u64,
        /// Where they should end.
        last_seq: Seq,
        /// Which line says so.
        by: &'static str,
    },
    /// A team's events are not those that were exported.
    #[error("line {line}: the digest of team {team} is wrong: the file was changed or damaged; export again")]
    Digest {
        /// The line.
        line: u64,
        /// The team.
        team: TeamId,
    },
}
