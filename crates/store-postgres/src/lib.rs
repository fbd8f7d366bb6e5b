//! The store in Postgres: every event as a row, hash-partitioned by team, and the projection of teams and members.
//!
//! Needs session connections (no pooler in transaction mode in between): the claim to a partition is an advisory lock
//! of the very session that writes. Every statement is executed by the conformance suite.
#![deny(missing_docs)]

mod config;
mod connect;
mod directory;
mod error;
mod events;
mod fenced;
mod inspect;
mod partition;
mod row;
mod schema;
mod store;

pub use config::Config;
pub use inspect::{
    Clock, Connections, Contents, GAPS_LISTED_MAX, InspectedPartition, Inspection, Owner, Settings, inspect,
};
pub use schema::migrate;
pub use store::PostgresStore;
