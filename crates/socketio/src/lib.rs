//! An Engine.IO and Socket.IO server on actix, for any application: sessions, both transports, no sticky sessions.
#![deny(missing_docs)]

mod config;
mod handshake;
mod metrics;
mod server;
mod socket;

pub use config::{Config, ConfigError, NAMESPACES_MAX, PAYLOAD_BYTES_LIMIT};
pub use handshake::{Generation, Handshake};
pub use huddle_websocket::Full;
pub use metrics::SocketIoMetrics;
pub use server::{Server, Worker, configure};
pub use socket::{AckId, Application, ConnectRefused, ConnectRequest, Event, EventFrame, Handler, Socket};
