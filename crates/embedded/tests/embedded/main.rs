//! The embedded file against the suites of the log and of the store, and what is its own.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod log;
mod open;
mod restartable;
mod samples;
mod store;
mod upgrade;
