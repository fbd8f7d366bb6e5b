//! The log on NATS JetStream: one stream per partition, atomic batches for throughput, republished messages as the
//! live feed. It never stores anything itself and never trusts a position that the server did not give.
//!
//! [`NatsLog`] implements [`huddle_log::Log`]. The streams' settings are in `stream`, the way of an event into a stream
//! in `publisher`, the ways out in `live`, `reader` and `by_team`, how positions are left out in `advance`,
//! what is refused in production in `production`. [`inspect()`] only looks.
//!
//! [`NatsBus`] implements [`huddle_bus::Bus`] over the same servers, on a connection of its own.
#![deny(missing_docs)]

mod advance;
mod bus;
mod by_team;
mod config;
mod connect;
mod floor;
mod inspect;
mod live;
mod log;
mod monitor;
mod production;
mod publisher;
mod reader;
mod retry;
mod stored;
mod stream;
mod subject;
mod watchman;

pub use bus::NatsBus;
pub use config::Config;
pub use inspect::{
    Clock, InspectedMonitor, InspectedPartition, InspectedServer, Inspection, ServerFacts, StreamFacts, inspect,
};
pub use log::NatsLog;
pub use monitor::{MonitorFacts, SyncPolicy};
