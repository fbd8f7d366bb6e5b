//! The harness of the end-to-end tests: a [`Deployment`] of real processes, and [`Clients`] that talk to it, most of them
//! not ours.
//!
//! A deployment is a [`Cluster`] (NATS, Postgres, and each service of the `huddle` program as a process) or a [`Single`]
//! (`huddle up`: one process over one file). Both are reached in the same way ([`Access`]), and a test that needs no more
//! than that runs on both: [`on_both_backends`].
//!
//! A test starts a deployment, does its work, and ends it with `finish`, which checks what must hold after every test. A
//! deployment that is dropped before that belongs to a test that failed: it prints the end of each process's log.

mod access;
mod binary;
mod check;
mod clients;
mod cluster;
mod deployment;
pub mod faults;
pub mod forged;
mod grpc;
pub mod http;
mod log_state;
mod metrics;
mod nats_request;
pub mod raw_ws;
mod round_robin;
mod service;
mod single;
pub mod socketio;
mod sql;
mod stage;
mod wait;
mod wiring;

pub use access::{Access, SECRET, SERVICE_TOKEN};
pub use binary::huddle;
pub use check::{StoredEvent, assert_chained, assert_receipts, assert_whole};
pub use clients::{
    Accepted, ClientKind, Clients, ConnectionPlan, Content, Entry, EventSeen, Library, Record, SendPlan,
    SubscriptionPlan, Transport,
};
pub use cluster::{Cluster, ClusterOptions, DeadLetter, ProcessOptions};
pub use deployment::{Backend, Deployment, DeploymentOptions};
pub use grpc::{DirectoryClient, HistoryClient};
pub use metrics::Samples;
pub use round_robin::RoundRobin;
pub use service::{Role, Service, ServiceOptions};
pub use single::{Single, SingleOptions};
pub use stage::{Stage, command_in, told};
pub use wait::until;
