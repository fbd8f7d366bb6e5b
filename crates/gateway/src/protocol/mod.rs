//! The native protocol between bytes and messages: decoding what clients send, encoding what they get.

mod decode;
mod encode;

pub(crate) use decode::{BadFrame, Request, decode};
pub(crate) use encode::{Delivery, close_frame, server_frame};

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
