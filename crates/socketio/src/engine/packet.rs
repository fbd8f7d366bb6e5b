//! Engine.IO packets that clients send.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::Violation;
use crate::Generation;

/// Bytes of a ping that come back in its pong.
const PING_BYTES_MAX: usize = 125;
/// The first byte of a binary message of Engine.IO 3.
pub(crate) const MESSAGE_V3: u8 = 4;

/// What a client, or an application, sends to the other side.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// Text: UTF-8.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

impl Message {
    /// Its bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A packet of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Close,
    Ping(Bytes),
    Pong,
    Message(Message),
    Upgrade,
    Noop,
}

impl Packet {
    /// A packet in text form: a WebSocket's text message, or a part of a polling payload. Copies no text.
    pub(crate) fn from_text(generation: Generation, text: &Bytes) -> Result<Self, Violation> {
        let content = text.slice(1.min(text.len())..);
        let is_bare = content.is_empty();
        match text.first() {
            Some(b'1') if is_bare => Ok(Self::Close),
            Some(b'2') if content.len() <= PING_BYTES_MAX => Ok(Self::Ping(content)),
            Some(b'3') if content.len() <= PING_BYTES_MAX => Ok(Self::Pong),
            Some(b'4') => Ok(Self::Message(Message::Text(content))),
            Some(b'5') if is_bare => Ok(Self::Upgrade),
            Some(b'6') if is_bare => Ok(Self::Noop),
            Some(b'b') => {
                let encoded = match generation {
                    Generation::V3 => content.strip_prefix(b"4").ok_or(Violation::EnginePacket)?,
                    Generation::V4 => &content[..],
                };
                let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| Violation::EnginePacket)?;
                Ok(Self::Message(Message::Binary(bytes.into())))
            }
            _ => Err(Violation::EnginePacket),
        }
    }

    /// A packet in binary form: a WebSocket's binary message, or a part of a binary polling payload.
    pub(crate) fn from_binary(generation: Generation, bytes: &Bytes) -> Result<Self, Violation> {
        match generation {
            Generation::V4 => Ok(Self::Message(Message::Binary(bytes.clone()))),
            Generation::V3 if bytes.first() == Some(&MESSAGE_V3) => {
                Ok(Self::Message(Message::Binary(bytes.slice(1..))))
            }
            Generation::V3 => Err(Violation::EnginePacket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(generation: Generation, packet: &'static str) -> Result<Packet, Violation> {
        Packet::from_text(generation, &Bytes::from_static(packet.as_bytes()))
    }

    #[test]
    fn packets_are_what_their_first_character_says() {
        for generation in [Generation::V3, Generation::V4] {
            assert_eq!(text(generation, "1"), Ok(Packet::Close));
            assert_eq!(text(generation, "2"), Ok(Packet::Ping(Bytes::new())));
            assert_eq!(text(generation, "2probe"), Ok(Packet::Ping(Bytes::from_static(b"probe"))));
            assert_eq!(text(generation, "3"), Ok(Packet::Pong));
            assert_eq!(text(generation, "4é"), Ok(Packet::Message(Message::Text(Bytes::from_static("é".as_bytes())))));
            assert_eq!(text(generation, "4"), Ok(Packet::Message(Message::Text(Bytes::new()))));
            assert_eq!(text(generation, "5"), Ok(Packet::Upgrade));
            assert_eq!(text(generation, "6"), Ok(Packet::Noop));
        }
        let binary = Ok(Packet::Message(Message::Binary(Bytes::from_static(&[1, 2, 3, 4]))));
        assert_eq!(text(Generation::V4, "bAQIDBA=="), binary);
        assert_eq!(text(Generation::V3, "b4AQIDBA=="), binary);
    }

    #[test]
    fn everything_else_is_refused() {
        for packet in ["", "0", "0{}", "7", "a", "é", "1x", "5x", "6x", "b!", "bAQIDBA", "ébbbbb", "b4AQIDBA=="] {
            assert_eq!(text(Generation::V4, packet), Err(Violation::EnginePacket), "{packet:?}");
        }
        for packet in ["b", "b4AQIDBA", "bAQIDBA=="] {
            assert_eq!(text(Generation::V3, packet), Err(Violation::EnginePacket), "{packet:?}");
        }
        let long: &'static str = Box::leak(format!("2{}", "x".repeat(PING_BYTES_MAX + 1)).into_boxed_str());
        assert_eq!(text(Generation::V3, long), Err(Violation::EnginePacket));
    }
}
