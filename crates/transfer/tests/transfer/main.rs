//! Export and import on real instances: a SQLite file, and NATS with Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod damaged_files;
mod exports;
mod imports;
mod instance;
mod round_trips;
mod samples;
