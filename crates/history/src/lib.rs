//! The history service: reads teams' logs for gRPC callers, in pages and as streams that catch up and stay live.
//!
//! It reads the store and listens to the log; it never writes to either. `proto/huddle/history/v1` is its
//! specification. Build a [`Server`] from [`Parts`], then [`run`](Server::run) it.
#![deny(missing_docs)]

mod authorise;
mod config;
mod convert;
mod find_sends;
mod get_message;
mod held;
mod list_events;
mod list_mentions;
mod list_messages;
mod metrics;
mod reader;
mod server;
mod service;
mod source;
mod stream_events;
mod tail;

pub use config::Config;
pub use huddle_grpc::{BindError, ServeError, StartError};
pub use reader::CALL_TIME_MAX;
pub use server::{Parts, Server};
