//! The team log: what Huddle needs of the thing that orders events and makes them durable.
//!
//! [`Log`] is the contract; its doc comments are normative, and `conformance` is the suite that every implementation
//! passes. To add an implementation: implement [`Log`], hand `conformance` a fixture that can start, stop and
//! restart the real thing, and wire it up in the `huddle` binary.
#![deny(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod error;
mod publish;
mod watermarks;

pub use contract::{Entry, EntryContent, LOG_PAGE_EVENTS_MAX, LiveFeed, LiveItem, Log, Reader, StoredFeed, StoredMark};
pub use error::{LogError, PublishError};
pub use publish::{Condition, Pending, Published, Resolver, pending};
pub use watermarks::Watermarks;
