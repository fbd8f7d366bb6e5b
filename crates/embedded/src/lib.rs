//! The log and the store in one SQLite file, for one process: nothing to install.
//!
//! An event is one row. The log appends it; it is part of the store from the moment at which the position of the store,
//! moved by whoever carries the log into the store, has reached it. Invariant: one task writes, so that whatever happens
//! at once is committed at once, with one sync of the disk.
#![deny(missing_docs)]

mod claims;
mod config;
mod embedded;
mod engine;
mod error;
mod feeds;
mod file;
mod inspect;
mod lock;
mod log;
mod reader;
mod store;
mod stores;

pub use config::{Config, ConfigError};
pub use embedded::{Embedded, ReadOnly};
pub use error::OpenError;
pub use inspect::{
    Contents, GAPS_LISTED_MAX, Holder, InspectedPartition, Inspection, Integrity, IntegrityStage, UNSTORED_COUNTED_MAX,
    check_integrity, holder, inspect,
};
