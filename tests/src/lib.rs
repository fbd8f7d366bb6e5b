//! The harness of the end-to-end tests: a [`Cluster`] of real processes (NATS, Postgres and the `huddle` program), and
//! [`Clients`] that talk to it, most of them not ours.
//!
//! A test starts a cluster, does its work, and ends it with [`Cluster::finish`], which checks what must hold after
//! every test. A cluster that is dropped before that belongs to a test that failed: it prints the end of each process's
//! log.

mod binary;
mod check;
mod clients;
mod cluster;
pub mod forged;
mod grpc;
pub mod http;
mod log_state;
mod metrics;
pub mod raw_ws;
mod service;
mod sql;
mod stage;
mod wait;

pub use binary::huddle;
pub use check::{StoredEvent, assert_chained, assert_receipts, assert_whole};
pub use clients::{
    Accepted, ClientKind, Clients, ConnectionPlan, Content, Entry, EventSeen, Record, SendPlan, SubscriptionPlan,
};
pub use cluster::{Cluster, ClusterOptions, SECRET, SERVICE_TOKEN};
pub use grpc::{DirectoryClient, HistoryClient};
pub use metrics::Samples;
pub use service::{Role, Service};
pub use stage::{Stage, command_in, told};
pub use wait::until;
