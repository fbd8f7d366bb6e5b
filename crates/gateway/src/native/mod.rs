//! The native protocol: its WebSockets, and the way between bytes and messages.

mod decode;
mod encode;
mod hello;
mod list_events;
mod requests;
mod serve;
mod websocket;

use decode::{BadFrame, Request, decode};
pub(crate) use encode::{close_frame, server_frame};
pub(crate) use websocket::upgrade;

/// The subprotocol of JSON text frames.
pub(crate) const SUBPROTOCOL_JSON: &str = "huddle.v1.json";

/// The subprotocol of binary protobuf frames.
pub(crate) const SUBPROTOCOL_PROTO: &str = "huddle.v1.proto";

/// How the frames of a connection are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Proto,
}
