//! Server frames, as finished WebSocket frames. Frames to clients are not masked, so the same bytes go to everyone.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use huddle_domain::Event;
use huddle_proto::gateway::v1::{CloseCode, ServerFrame, server_frame};
use huddle_websocket::frame;
use prost::Message as _;

use super::Encoding;

/// An event on its way to many connections: encoded at most once per encoding, by whoever needs it first.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) event: Arc<Event>,
    json: OnceLock<Bytes>,
    proto: OnceLock<Bytes>,
}

impl Delivery {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, json: OnceLock::new(), proto: OnceLock::new() }
    }

    /// The finished frame. Cloning it copies no bytes.
    pub(crate) fn frame(&self, encoding: Encoding) -> Bytes {
        let frame = match encoding {
            Encoding::Json => &self.json,
            Encoding::Proto => &self.proto,
        };
        frame
            .get_or_init(|| {
                server_frame(encoding, String::new(), server_frame::Content::Event(self.event.as_ref().into()))
            })
            .clone()
    }
}

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

#[cfg(test)]
mod tests {
    use huddle_domain::{Body, ClientId, EventKind, Seq, TeamId, UnixMillis, UserId};

    use super::*;

    fn event() -> Event {
        Event {
            team: TeamId::parse("t").unwrap(),
            seq: Seq::new(1_000_007),
            prev_seq: Seq::new(1_000_003),
            time: UnixMillis(1_700_000_000_000),
            sender: UserId::parse("42").unwrap(),
            client_id: ClientId::parse("c-1").unwrap(),
            kind: EventKind::posted(Body::parse("hi").unwrap()),
        }
    }

    #[test]
    fn an_event_frame_has_the_documented_json() {
        let frame = Delivery::new(Arc::new(event())).frame(Encoding::Json);
        let text = std::str::from_utf8(&frame[2 + 2..]).unwrap();
        assert_eq!(
            text,
            r#"{"event":{"team":"t","seq":"1000007","prev_seq":"1000003","time_ms":"1700000000000","sender":"42","client_id":"c-1","posted":{"body":"hi"}}}"#
        );
        assert_eq!(frame[0], 0x81, "final text frame");
        assert_eq!(frame[1], 126, "16-bit length, not masked");
    }

    #[test]
    fn all_receivers_share_one_encoding() {
        let delivery = Delivery::new(Arc::new(event()));
        assert_eq!(delivery.frame(Encoding::Proto).as_ptr(), delivery.frame(Encoding::Proto).as_ptr());
    }
}
