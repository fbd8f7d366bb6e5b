//! Writing an export: what there is to write, the file that survives an interruption, and the error texts.

mod part;
mod plan;
mod sink;
mod write;

use std::{io, path::PathBuf};

use huddle_domain::{TeamId, UnixMillis};
use huddle_store::StoreError;

use crate::FileError;

pub use write::{export_to_file, export_to_stream};

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// These teams; `None` for all that have events.
    pub teams: Option<Vec<TeamId>>,
    /// Who writes it, for the file's first line: name and version.
    pub program: String,
    /// Now, for the file's first line.
    pub created: UnixMillis,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Teams in the file.
    pub teams: u64,
    /// Events in the file.
    pub events: u64,
    /// How many of the events an interrupted export had written before.
    pub continued: u64,
}

/// Why nothing, or only a part, was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file is there already.
    #[error("{} exists already: remove it, or choose another file", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// Another export writes the file.
    #[error("{} is being written by another export: wait for it, or choose another file", part.display())]
    InUse {
        /// The unfinished file.
        part: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// What an interrupted export left cannot be continued.
    #[error("{}: {source}; or remove it to export from the beginning", part.display())]
    Part {
        /// The unfinished file.
        part: PathBuf,
        /// What is wrong with it.
        source: FileError,
    },
    /// An interrupted export was of something else.
    #[error(
        "{} was begun with {other}: run the export with the same arguments, or remove the file to export from the \
         beginning",
        part.display()
    )]
    OtherExport {
        /// The unfinished file.
        part: PathBuf,
        /// What is different.
        other: &'static str,
    },
    /// A team that was asked for is not there.
    #[error("team {team} has no events here")]
    NoSuchTeam {
        /// The team.
        team: TeamId,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds other events than when the export began.
    #[error(
        "the events changed while they were exported (something was imported into the instance): remove the unfinished \
         file and export again"
    )]
    Changed {
        /// What no longer fits.
        #[source]
        source: FileError,
    },
}
