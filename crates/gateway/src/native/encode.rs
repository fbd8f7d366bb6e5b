//! Server frames, as finished WebSocket frames. Frames to clients are not masked, so the same bytes go to everyone.

use bytes::Bytes;
use huddle_proto::gateway::v1::{CloseCode, ServerFrame, server_frame};
use huddle_websocket::frame;
use prost::Message as _;

use super::Encoding;

/// A finished frame with `content`; `reply_to` is empty when it is no reply.
pub(crate) fn server_frame(encoding: Encoding, reply_to: String, content: server_frame::Content) -> Bytes {
    let content = ServerFrame { reply_to, content: Some(content) };
    match encoding {
        Encoding::Json => {
            // Maps with text keys, texts and numbers always have a JSON form.
            let text = serde_json::to_vec(&content).unwrap_or_default();
            frame::text(&text)
        }
        Encoding::Proto => frame::binary(&content.encode_to_vec()),
    }
}

/// A finished close frame.
pub(crate) fn close_frame(code: CloseCode, reason: &'static str) -> Bytes {
    // All codes of the enum fit: they are WebSocket close codes.
    frame::close(u16::try_from(i32::from(code)).unwrap_or(u16::MAX), reason)
}
