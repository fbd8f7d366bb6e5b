//! The store: the projection of the log that is kept for good, and read.
//!
//! The traits here are the contract; their doc comments are normative, and `conformance` is the suite that every
//! implementation passes. To add an implementation: implement [`PartitionStore`], [`EventStore`] and
//! [`DirectoryStore`] for one type, run the suite against a real instance, and wire it up in the `huddle` binary.
#![deny(missing_docs)]

pub mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
mod directory;
mod error;
mod event;
mod fence;
mod partition;

pub use directory::{DirectoryStore, Member, Membership, Page, Team, UserTeam};
pub use error::StoreError;
pub use event::{EventStore, MentionPosition, Message, MessagePage, MessagePosition, MessageQuery, Order};
pub use fence::Fence;
pub use partition::{
    Applied, Batch, BatchItem, DeadLetter, DeadLetterReason, Imported, LogGap, PartitionStore, PartitionWriter,
    RecordedGap,
};
