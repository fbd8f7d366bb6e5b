//! The directory service over gRPC, on real NATS and Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accepted;
mod arguments;
#[path = "../../../history/tests/grpc/backend.rs"]
mod backend;
#[path = "../../../history/tests/grpc/cable.rs"]
mod cable;
mod creation;
mod older;
mod reads;
mod retries;
mod rights;
mod support;
