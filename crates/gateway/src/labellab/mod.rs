//! LabelLab's chat over Socket.IO: its events and their payloads, on the same connections, subscriptions and sends as the
//! native protocol. Described in `docs/reference/labellab.md`.

mod application;
mod client;
mod config;
mod encode;
mod following;
mod http;
mod ids;
mod payload;
mod typing;
mod way;

pub(crate) use application::LabelLab;
pub(crate) use config::LabelLabRules;
pub use config::{LabelLabConfig, SocketIoConfig};
pub(crate) use encode::receive_message;
pub(crate) use http::configure as configure_http;
pub(crate) use typing::Typing;
pub(crate) use way::Way;

/// The namespace that every client may connect to.
pub(crate) const DEFAULT_NAMESPACE: &str = "/";
