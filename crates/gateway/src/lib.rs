//! The gateway: where clients connect. It terminates WebSockets and HTTP, publishes what users send, and fans out what
//! the log says. It holds no durable state: any gateway will do for any client at any time.

mod config;
mod connection;
mod core;
mod ending;
mod event_pages;
mod labellab;
mod listening;
mod memberships;
mod metrics;
mod names;
mod native;
mod origins;
mod page;
mod relay;
mod rest;
mod sends;
mod server;
mod sockets;
mod upstream;
mod watch;
mod worker;

pub use config::{Config, ConfigError};
pub use labellab::{LabelLabConfig, SocketIoConfig};
pub use page::Demo;
pub use server::{Parts, Server, StartError, Upstream, bind};
