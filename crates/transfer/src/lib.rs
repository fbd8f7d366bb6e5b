//! Carries teams from one instance of Huddle to another, or out of something else: the format of an export, how it is
//! written and read, and how events that bring their positions along get into a log and a store.
//!
//! Knows the traits of log and store only. To import from something else than an export: implement [`Source`].
#![deny(missing_docs)]

mod digest;
mod export;
mod format;
mod import;
mod source;
mod step;

pub use digest::Digest;
pub use export::{ExportError, ExportOptions, Exported, export_to_file, export_to_stream};
pub use format::{FileError, FileSource, VERSION};
pub use import::{ImportError, ImportReport, Target, import};
pub use source::{CHUNK_EVENTS_MAX, Item, Source, SourceError, TeamPlan, TeamSummary};
pub use step::{Progress, Step};
