//! The history service over gRPC, on real NATS and Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod cable;
mod deadlines;
mod mentions;
mod older;
mod pages;
mod streams;
mod support;
mod tokens;
