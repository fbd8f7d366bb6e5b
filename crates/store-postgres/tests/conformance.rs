//! The store's conformance suite on Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unreachable_pub, reason = "the other tests of this crate use more of it")]
mod support;

huddle_store::store_conformance!(support::Database);
