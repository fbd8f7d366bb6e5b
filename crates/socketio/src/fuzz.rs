//! One way into everything that reads bytes of clients, for the mutation test and the fuzz target.

use bytes::Bytes;

use crate::{
    Generation,
    engine::{Message, Packet, Payload},
    routes::is_query,
    sid::Sid,
    socket::decode_text,
};

/// Reads `bytes` as everything that a client may send: payloads and messages of both generations, the Socket.IO packets in
/// them, a session's id, and a query. Returns how much of it could be read. Must never panic, whatever the bytes.
pub fn decode_everything(bytes: &[u8]) -> usize {
    let body = Bytes::copy_from_slice(bytes);
    let mut packets = Vec::new();
    for generation in [Generation::V3, Generation::V4] {
        for is_binary in [false, true] {
            let payload = Payload { body: body.clone(), is_binary };
            packets.extend(payload.decode(generation).unwrap_or_default());
        }
        packets.extend(Packet::from_text(generation, &body));
        packets.extend(Packet::from_binary(generation, &body));
    }
    for packet in &packets {
        if let Packet::Message(Message::Text(text)) = packet
            && let Ok(text) = std::str::from_utf8(text)
        {
            // Refused or not: it has been read.
            let _ = decode_text(text);
        }
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    packets.len() + usize::from(Sid::parse(text).is_some()) + usize::from(is_query(text))
}
