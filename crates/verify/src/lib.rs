//! What clients did and saw, written down, and the checker that decides from it whether the guarantees held.
//!
//! [`recording`] is the format: one line for each thing that a client did or saw, and at the end what history shows.
//! [`check()`] takes a whole recording and says what is wrong. Nothing here talks to a service, so that a recording can be
//! checked anywhere, any number of times, with the same outcome.
//!
//! [`team::Check`] judges the history of one team of a live system, as far as that shows anything.

#![deny(missing_docs)]

mod check;
mod facts;
mod findings;
mod options;
pub mod recording;
mod report;
mod rules;
pub mod team;

pub use self::{
    check::check,
    options::Options,
    recording::Recording,
    report::{Counts, Finding, Report, Rule, RuleCount},
};
