//! What clients did and saw, written down, and the checker that decides from it whether the guarantees held.
//!
//! [`recording`] is the format: one line for each thing that a client did or saw, and at the end what history shows.
//! Nothing here talks to a service, so that a recording can be checked anywhere, any number of times, with the same
//! outcome.

#![deny(missing_docs)]

pub mod recording;
