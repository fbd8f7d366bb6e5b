//! Finished frames. Frames to clients are not masked, so the same bytes go to everyone.

use actix_http::ws::{CloseCode as CloseStatus, CloseReason, OpCode, Parser};
use bytes::{Bytes, BytesMut};

/// A header of a frame that is not masked has at most this many bytes (RFC 6455, section 5.2).
const HEADER_BYTES_MAX: usize = 10;
/// The second byte of a header says the length, or that two or eight bytes with it follow.
const LENGTH_IN_2_BYTES: u8 = 126;
const LENGTH_IN_8_BYTES: u8 = 127;

/// A text frame. `payload` is UTF-8.
pub fn text(payload: &[u8]) -> Bytes {
    finish(OpCode::Text, payload)
}

/// A binary frame.
pub fn binary(payload: &[u8]) -> Bytes {
    finish(OpCode::Binary, payload)
}

/// A ping frame.
pub fn ping() -> Bytes {
    finish(OpCode::Ping, &[])
}

/// A pong frame. `payload` is that of the ping: at most 125 bytes, which the decoder has checked.
pub fn pong(payload: &[u8]) -> Bytes {
    finish(OpCode::Pong, payload)
}

/// A close frame. `reason` has at most 123 bytes.
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut frame = BytesMut::new();
    Parser::write_close(&mut frame, Some(CloseReason::from((CloseStatus::from(code), reason))), false);
    frame.freeze()
}

/// The answer to a client's own close.
pub fn close_reply() -> Bytes {
    let mut frame = BytesMut::new();
    Parser::write_close(&mut frame, Some(CloseReason::from(CloseStatus::Normal)), false);
    frame.freeze()
}

/// What a finished text or binary frame carries; copies no bytes.
pub fn payload(frame: &Bytes) -> Bytes {
    let header_bytes = match frame.get(1) {
        None => frame.len(),
        Some(&LENGTH_IN_2_BYTES) => 4,
        Some(&LENGTH_IN_8_BYTES) => HEADER_BYTES_MAX,
        Some(_) => 2,
    };
    frame.slice(header_bytes.min(frame.len())..)
}

/// Whether a finished frame is a text frame.
pub fn is_text(frame: &Bytes) -> bool {
    frame.first().is_some_and(|first| first & 0x0f == 0x1)
}

fn finish(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + HEADER_BYTES_MAX);
    Parser::write_message(&mut frame, payload, opcode, true, false);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_what_it_carries() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let carried = vec![b'x'; length];
            assert_eq!(payload(&text(&carried)), carried, "{length}");
            assert_eq!(payload(&binary(&carried)), carried, "{length}");
        }
        assert!(is_text(&text(b"a")) && !is_text(&binary(b"a")) && !is_text(&ping()));
    }
}
