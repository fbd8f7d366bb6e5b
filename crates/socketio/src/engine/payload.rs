//! Polling payloads: several packets in one body.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use huddle_websocket::frame;

use super::{Packet, Violation};
use crate::Generation;

/// Packets that one payload of a client may have.
pub(crate) const PACKETS_MAX: usize = 256;

/// A packet that says nothing.
pub(super) const NOOP: &[u8] = b"6";
/// Between packets of Engine.IO 4.
const SEPARATOR_V4: u8 = 0x1e;
/// Digits that a length may have in Engine.IO 3.
const LENGTH_DIGITS_MAX: usize = 7;
/// What begins a packet, and what ends its length, in binary payloads of Engine.IO 3.
const TEXT_V3: u8 = 0;
const BINARY_V3: u8 = 1;
const LENGTH_END_V3: u8 = 0xff;

/// A body that carries packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) body: Bytes,
    /// Whether it is `application/octet-stream`: in Engine.IO 3 another form.
    pub(crate) is_binary: bool,
}

impl Payload {
    /// The packets of a client's payload. Copies no text.
    pub(crate) fn decode(&self, generation: Generation) -> Result<Vec<Packet>, Violation> {
        match generation {
            Generation::V4 => decode_v4(&self.body),
            Generation::V3 if self.is_binary => decode_v3_binary(&self.body),
            Generation::V3 => decode_v3_text(&self.body),
        }
    }

    /// A payload that says nothing.
    pub(crate) fn nothing(generation: Generation) -> Self {
        Self::encode(generation, false, &[frame::text(NOOP)])
    }

    /// A payload with what finished WebSocket frames carry. `takes_binary`: whether a client of Engine.IO 3 takes binary
    /// payloads.
    pub(crate) fn encode(generation: Generation, takes_binary: bool, frames: &[Bytes]) -> Self {
        match generation {
            Generation::V4 => Self { body: encode_v4(frames).into(), is_binary: false },
            Generation::V3 if takes_binary && !frames.iter().all(frame::is_text) => {
                Self { body: encode_v3_binary(frames).into(), is_binary: true }
            }
            Generation::V3 => Self { body: encode_v3_text(frames).into(), is_binary: false },
        }
    }
}

fn push(packets: &mut Vec<Packet>, packet: Packet) -> Result<(), Violation> {
    if packets.len() == PACKETS_MAX {
        return Err(Violation::PacketCount);
    }
    packets.push(packet);
    Ok(())
}

fn decode_v4(body: &Bytes) -> Result<Vec<Packet>, Violation> {
    std::str::from_utf8(body).map_err(|_| Violation::Payload)?;
    let mut packets = Vec::new();
    for part in body.split(|byte| *byte == SEPARATOR_V4) {
        push(&mut packets, Packet::from_text(Generation::V4, &body.slice_ref(part))?)?;
    }
    Ok(packets)
}

/// `<length>:<packet>…`, lengths in UTF-16 code units, as the strings of JavaScript have them.
fn decode_v3_text(body: &Bytes) -> Result<Vec<Packet>, Violation> {
    let mut rest = std::str::from_utf8(body).map_err(|_| Violation::Payload)?;
    let mut packets = Vec::new();
    loop {
        let digits = rest.bytes().take(LENGTH_DIGITS_MAX).take_while(u8::is_ascii_digit).count();
        let (length, after) = rest.split_at(digits);
        let units: usize = length.parse().map_err(|_| Violation::Payload)?;
        let after = after.strip_prefix(':').ok_or(Violation::Payload)?;
        let end = utf16_end(after, units).ok_or(Violation::Payload)?;
        let packet = body.slice_ref(&after.as_bytes()[..end]);
        push(&mut packets, Packet::from_text(Generation::V3, &packet)?)?;
        rest = &after[end..];
        if rest.is_empty() {
            return Ok(packets);
        }
    }
}

/// Where the first `units` UTF-16 code units of `text` end, in bytes; `None` when there are fewer, or when that is in the
/// middle of a character.
fn utf16_end(text: &str, units: usize) -> Option<usize> {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

fn decode_v3_binary(body: &Bytes) -> Result<Vec<Packet>, Violation> {
    let mut rest = body.clone();
    let mut packets = Vec::new();
    loop {
        let kind = *rest.first().ok_or(Violation::Payload)?;
        let digits = rest[1..].iter().take(LENGTH_DIGITS_MAX).take_while(|byte| **byte < 10).count();
        let length = rest[1..=digits].iter().fold(0, |length, digit| length * 10 + usize::from(*digit));
        if digits == 0 || rest.get(1 + digits) != Some(&LENGTH_END_V3) {
            return Err(Violation::Payload);
        }
        let start = digits + 2;
        if rest.len() - start < length {
            return Err(Violation::Payload);
        }
        let content = rest.slice(start..start + length);
        let packet = match kind {
            TEXT_V3 => {
                std::str::from_utf8(&content).map_err(|_| Violation::Payload)?;
                Packet::from_text(Generation::V3, &content)?
            }
            BINARY_V3 => Packet::from_binary(Generation::V3, &content)?,
            _ => return Err(Violation::Payload),
        };
        push(&mut packets, packet)?;
        rest = rest.slice(start + length..);
        if rest.is_empty() {
            return Ok(packets);
        }
    }
}

fn encode_v4(frames: &[Bytes]) -> Vec<u8> {
    let mut body = Vec::with_capacity(frames.iter().map(Bytes::len).sum());
    for (at, finished) in frames.iter().enumerate() {
        if at > 0 {
            body.push(SEPARATOR_V4);
        }
        let content = frame::payload(finished);
        if frame::is_text(finished) {
            body.extend_from_slice(&content);
        } else {
            body.push(b'b');
            body.extend_from_slice(BASE64_STANDARD.encode(&content).as_bytes());
        }
    }
    body
}

fn encode_v3_text(frames: &[Bytes]) -> Vec<u8> {
    let mut body = Vec::with_capacity(frames.iter().map(|frame| frame.len() + LENGTH_DIGITS_MAX).sum());
    for finished in frames {
        let content = frame::payload(finished);
        if frame::is_text(finished) {
            body.extend_from_slice(format!("{}:", utf16_len(&content)).as_bytes());
            body.extend_from_slice(&content);
        } else {
            let encoded = BASE64_STANDARD.encode(content.get(1..).unwrap_or_default());
            body.extend_from_slice(format!("{}:b4{encoded}", encoded.len() + 2).as_bytes());
        }
    }
    body
}

/// UTF-16 code units of a UTF-8 text: one for each character, two for those that take four bytes.
fn utf16_len(text: &[u8]) -> usize {
    let continues = |byte: u8| byte & 0xc0 == 0x80;
    text.iter().map(|byte| usize::from(!continues(*byte)) + usize::from(*byte >= 0xf0)).sum()
}

fn encode_v3_binary(frames: &[Bytes]) -> Vec<u8> {
    let mut body = Vec::with_capacity(frames.iter().map(|frame| frame.len() + LENGTH_DIGITS_MAX).sum());
    for finished in frames {
        let content = frame::payload(finished);
        body.push(if frame::is_text(finished) { TEXT_V3 } else { BINARY_V3 });
        body.extend(content.len().to_string().bytes().map(|digit| digit - b'0'));
        body.push(LENGTH_END_V3);
        body.extend_from_slice(&content);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Message;

    const BOTH: [Generation; 2] = [Generation::V3, Generation::V4];

    fn decode(generation: Generation, body: &[u8]) -> Result<Vec<Packet>, Violation> {
        Payload { body: Bytes::copy_from_slice(body), is_binary: false }.decode(generation)
    }

    fn decode_binary(body: &[u8]) -> Result<Vec<Packet>, Violation> {
        Payload { body: Bytes::copy_from_slice(body), is_binary: true }.decode(Generation::V3)
    }

    fn text(text: &'static str) -> Packet {
        Packet::Message(Message::Text(Bytes::from_static(text.as_bytes())))
    }

    fn binary(bytes: &'static [u8]) -> Packet {
        Packet::Message(Message::Binary(Bytes::from_static(bytes)))
    }

    #[test]
    fn the_published_examples_are_understood() {
        let expected = vec![text("hello"), Packet::Ping(Bytes::new()), text("world")];
        assert_eq!(decode(Generation::V4, b"4hello\x1e2\x1e4world"), Ok(expected));
        assert_eq!(decode(Generation::V4, b"4hello\x1ebAQIDBA=="), Ok(vec![text("hello"), binary(&[1, 2, 3, 4])]));
        assert_eq!(decode(Generation::V3, "6:4hello2:4€".as_bytes()), Ok(vec![text("hello"), text("€")]));
        assert_eq!(decode(Generation::V3, "2:4€10:b4AQIDBA==".as_bytes()), Ok(vec![text("€"), binary(&[1, 2, 3, 4])]));
        let in_bytes = [0, 4, 255, 0x34, 0xe2, 0x82, 0xac, 1, 5, 255, 4, 1, 2, 3, 4];
        assert_eq!(decode_binary(&in_bytes), Ok(vec![text("€"), binary(&[1, 2, 3, 4])]));
    }

    #[test]
    fn lengths_count_utf16_code_units() {
        assert_eq!(decode(Generation::V3, "3:4😀3:4ab".as_bytes()), Ok(vec![text("😀"), text("ab")]));
        assert_eq!(decode(Generation::V3, "2:4😀3:4ab".as_bytes()), Err(Violation::Payload), "half a character");
        for sample in ["", "ab", "é€", "😀", "a😀b€"] {
            assert_eq!(utf16_len(sample.as_bytes()), sample.encode_utf16().count(), "{sample:?}");
        }
    }

    #[test]
    fn malformed_payloads_are_refused() {
        for body in ["", ":", "1", "1:", "0:", "2:4", "6:4hello6", "+1:2", "-1:2", " 1:2", "99999999:2", "1:2x", "x"] {
            assert!(decode(Generation::V3, body.as_bytes()).is_err(), "{body:?}");
        }
        for body in ["", "\x1e", "4a\x1e", "\x1e4a", "4a\x1e\x1e4b", "abc"] {
            assert!(decode(Generation::V4, body.as_bytes()).is_err(), "{body:?}");
        }
        for generation in BOTH {
            assert_eq!(decode(generation, b"4\xff"), Err(Violation::Payload));
        }
        for body in [&[][..], &[0], &[0, 255], &[0, 2, 255, b'4'], &[2, 1, 255, b'2'], &[0, 1, 255, 0xff], &[1, 0, 255]]
        {
            assert!(decode_binary(body).is_err(), "{body:?}");
        }
        assert!(decode_binary(&[&[0][..], &[9; 12], &[255]].concat()).is_err());
    }

    #[test]
    fn the_number_of_packets_is_bounded() {
        let v4 = |count: usize| vec!["6"; count].join("\x1e");
        assert_eq!(decode(Generation::V4, v4(PACKETS_MAX).as_bytes()).map(|packets| packets.len()), Ok(PACKETS_MAX));
        assert_eq!(decode(Generation::V4, v4(PACKETS_MAX + 1).as_bytes()), Err(Violation::PacketCount));
        assert_eq!(decode(Generation::V3, "1:6".repeat(PACKETS_MAX + 1).as_bytes()), Err(Violation::PacketCount));
        assert_eq!(decode_binary(&[0, 1, 255, b'6'].repeat(PACKETS_MAX + 1)), Err(Violation::PacketCount));
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let long: &'static str = Box::leak("€😀x".repeat(30_000).into_boxed_str());
        for generation in BOTH {
            let bytes: &[u8] = if generation == Generation::V3 { &[4, 1, 2, 3] } else { &[1, 2, 3] };
            let frames = [frame::text(b"4hello"), frame::binary(bytes), frame::text(format!("4{long}").as_bytes())];
            for takes_binary in [false, true] {
                let payload = Payload::encode(generation, takes_binary, &frames);
                assert_eq!(payload.is_binary, generation == Generation::V3 && takes_binary);
                let expected = vec![text("hello"), binary(&[1, 2, 3]), text(long)];
                assert_eq!(payload.decode(generation), Ok(expected));
            }
        }
    }
}
