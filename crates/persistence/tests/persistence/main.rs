//! Persistence between a real NATS and a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod gaps;
mod handover;
mod holed;
mod older;
mod strained;
mod support;
mod work;
