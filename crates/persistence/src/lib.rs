//! Persistence: carries the log into the store, each partition by one owner at a time, and says how far it has come.
//!
//! Any number of processes may run it. For each partition they compete for the claim; the one that has it reads the log
//! from the store's own position, applies what has gathered in one transaction after the other, and announces the stored
//! watermark. Invariant: it keeps no position of its own, so whatever dies, the next owner goes on at what is committed.
#![deny(missing_docs)]

mod announce;
mod batch;
mod config;
mod gap;
mod health;
mod log_watch;
mod metrics;
mod owner;
mod seen;
mod service;
mod term;

pub use config::Config;
pub use service::{Parts, Persistence, RunError};
