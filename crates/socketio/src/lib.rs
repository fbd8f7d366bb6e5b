//! An Engine.IO and Socket.IO server on actix, for any application: sessions, both transports, no sticky sessions.
//!
//! Spoken are Engine.IO 4 with Socket.IO protocol 5, and Engine.IO 3 with Socket.IO protocol 4, over polling and
//! WebSocket. A session lives on the worker thread where it was opened, and its id says where that is: a request that lands
//! on another thread or on another gateway is passed on to it and answered as if it had landed there.
//!
//! From bottom to top: `routes` tells requests apart, `relay` passes them on, [`engine`] has the sessions, `socket` the
//! namespaces and events. Nothing here knows what an application does with them.
#![deny(missing_docs)]

mod config;
mod draining;
pub mod engine;
mod fuzz;
mod handshake;
mod metrics;
mod relay;
mod routes;
mod server;
mod sid;
mod socket;
mod worker;

pub use config::{Config, ConfigError, NAMESPACES_MAX, OUTBOX_BYTES_MIN, OUTBOX_FRAMES_MIN, PAYLOAD_BYTES_LIMIT};
pub use fuzz::decode_everything;
pub use handshake::{Generation, Handshake};
pub use huddle_websocket::Full;
pub use metrics::SocketIoMetrics;
pub use routes::configure;
pub use server::Server;
pub use socket::{AckId, Application, ConnectRefused, ConnectRequest, Event, EventFrame, Handler, Socket};
pub use worker::Worker;
