//! The store on a real Postgres: the conformance suite, and what is Postgres's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod owners;
mod plans;
mod schema;
mod support;

mod conformance {
    huddle_store::store_conformance!(crate::support::Database);
}
