//! An event on its way to many connections: encoded at most once per form, by whoever needs that first.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use huddle_domain::{Event, EventKind, Name, Seq};
use huddle_proto::gateway::v1::server_frame::Content;
use huddle_socketio::EventFrame;

use crate::{
    labellab,
    native::{Encoding, server_frame},
};

/// An event, and the forms in which it has been needed so far.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) event: Arc<Event>,
    sender_name: OnceLock<Name>,
    json: OnceLock<Bytes>,
    proto: OnceLock<Bytes>,
    labellab: OnceLock<EventFrame>,
    // By namespace, apart from the default one; a handful of configured ones.
    labellab_elsewhere: Mutex<Vec<(Arc<str>, EventFrame)>>,
}

impl Delivery {
    /// `sender_name` is the sender's display name, as far as anybody wants it and it is known.
    pub(crate) fn new(event: Arc<Event>, sender_name: Option<Name>) -> Self {
        Self {
            event,
            sender_name: sender_name.map(OnceLock::from).unwrap_or_default(),
            json: OnceLock::new(),
            proto: OnceLock::new(),
            labellab: OnceLock::new(),
            labellab_elsewhere: Mutex::default(),
        }
    }

    /// The same as what follows on the event at `shown`, where it names a later one: what lies between is not for showing.
    pub(crate) fn following(self: &Arc<Self>, shown: Seq) -> Arc<Self> {
        let is_chained = !self.event.prev_seq.is_zero() && self.event.prev_seq <= shown;
        if is_chained || shown.is_zero() {
            return Arc::clone(self);
        }
        let event = Event { prev_seq: shown, ..Event::clone(&self.event) };
        Arc::new(Self::new(Arc::new(event), self.sender_name.get().cloned()))
    }

    /// Says how people call the sender, where that is not known yet. Frames that show it are made after this.
    pub(crate) fn name_sender(&self, name: Name) {
        self.sender_name.get_or_init(|| name);
    }

    /// How people call the sender.
    pub(crate) fn sender_name(&self) -> &str {
        self.sender_name.get().map_or(self.event.sender.as_str(), Name::as_str)
    }

    /// The finished frame of the native protocol. Cloning it copies no bytes.
    pub(crate) fn native_frame(&self, encoding: Encoding) -> Bytes {
        let frame = match encoding {
            Encoding::Json => &self.json,
            Encoding::Proto => &self.proto,
        };
        frame.get_or_init(|| server_frame(encoding, String::new(), Content::Event(self.event.as_ref().into()))).clone()
    }

    /// The finished packet of LabelLab's protocol, which has words for messages only. Cloning it copies no bytes.
    pub(crate) fn labellab_frame(&self, namespace: &Arc<str>) -> Option<EventFrame> {
        let EventKind::Posted { body, tags } = &self.event.kind else { return None };
        let encode = || labellab::receive_message(namespace, &self.event, body, tags, self.sender_name());
        if &**namespace == labellab::DEFAULT_NAMESPACE {
            return Some(self.labellab.get_or_init(encode).clone());
        }
        let mut elsewhere = self.labellab_elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = elsewhere.iter().find(|(other, _)| other == namespace) {
            return Some(frame.clone());
        }
        let frame = encode();
        elsewhere.push((Arc::clone(namespace), frame.clone()));
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Body, ClientId, EventKind, TeamId, UnixMillis, UserId};

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
        let frame = Delivery::new(Arc::new(event()), None).native_frame(Encoding::Json);
        let text = std::str::from_utf8(&frame[2 + 2..]).unwrap();
        assert_eq!(
            text,
            r#"{"event":{"team":"t","seq":"1000007","prev_seq":"1000003","time_ms":"1700000000000","sender":"42","client_id":"c-1","posted":{"body":"hi"}}}"#
        );
        assert_eq!(frame[0], 0x81, "final text frame");
        assert_eq!(frame[1], 126, "16-bit length, not masked");
    }

    #[test]
    fn what_is_not_for_showing_is_no_hole_before_an_event() {
        let delivery = Arc::new(Delivery::new(Arc::new(event()), None));
        let prev_seq = |shown: u64| delivery.following(Seq::new(shown)).event.prev_seq.get();
        assert_eq!((prev_seq(1_000_003), prev_seq(1_000_005)), (1_000_003, 1_000_003), "it fits as it is");
        assert_eq!(prev_seq(1_000_001), 1_000_001);
        assert_eq!(prev_seq(0), 1_000_003, "nothing was shown");
    }

    #[test]
    fn all_receivers_share_one_encoding() {
        let delivery = Delivery::new(Arc::new(event()), None);
        assert_eq!(delivery.native_frame(Encoding::Proto).as_ptr(), delivery.native_frame(Encoding::Proto).as_ptr());
    }
}
