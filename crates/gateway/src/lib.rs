//! The gateway: where clients connect. It terminates WebSockets and HTTP, publishes what users send, and fans out what
//! the log says. It holds no durable state: any gateway will do for any client at any time.

mod config;
mod connection;
mod core;
mod memberships;
mod metrics;
mod page;
mod protocol;
mod relay;
mod rest;
mod sends;
mod server;
mod upstream;
mod watch;
mod websocket;
mod worker;

pub use config::{Config, ConfigError};
pub use page::Demo;
pub use server::{Parts, Server, StartError, Upstream, bind};
