//! That somebody is typing: a signal, which goes from gateway to gateway and is lost when nobody listens.

use std::sync::OnceLock;

use bytes::Bytes;
use huddle_domain::{Name, TeamId, UserId};
use huddle_proto::signal::v1 as wire;
use huddle_socketio::EventFrame;
use prost::Message as _;
use serde_json::json;

use super::{DEFAULT_NAMESPACE, ids::ShownId};

/// Who is typing in a team.
#[derive(Debug)]
pub(crate) struct Typing {
    pub(crate) user: UserId,
    /// Their display name, when it is known.
    name: Option<Name>,
    /// The finished packet in the default namespace, made by whoever needs it first.
    frame: OnceLock<EventFrame>,
}

impl Typing {
    pub(super) fn new(user: UserId, name: Option<Name>) -> Self {
        Self { user, name, frame: OnceLock::new() }
    }

    /// The finished packet for a client that follows `team`. Cloning it copies no bytes.
    pub(super) fn frame(&self, team: &TeamId, namespace: &str) -> EventFrame {
        let encode = || {
            let username = self.name.as_ref().map_or(self.user.as_str(), Name::as_str);
            let (team, user) = (ShownId(team.as_str()), ShownId(self.user.as_str()));
            EventFrame::new(namespace, "typing", &json!({ "team_id": team, "user_id": user, "username": username }))
        };
        if namespace == DEFAULT_NAMESPACE { self.frame.get_or_init(encode).clone() } else { encode() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let name = self.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let typing = wire::Typing { user: self.user.to_string(), name };
        wire::Signal { kind: Some(wire::signal::Kind::Typing(typing)) }.encode_to_vec().into()
    }

    /// `None` when the signal is another one, or of a newer version.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let wire::signal::Kind::Typing(typing) = wire::Signal::decode(payload).ok()?.kind?;
        Some(Self::new(UserId::parse(&typing.user).ok()?, Name::parse(&typing.name).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_the_same_on_every_gateway_and_nonsense_says_nothing() {
        let user = UserId::parse("7").unwrap();
        for name in [None, Name::parse("Zoë").ok()] {
            let read = Typing::decode(&Typing::new(user.clone(), name.clone()).encode()).unwrap();
            assert_eq!((read.user, read.name), (user.clone(), name));
        }
        for payload in [&b""[..], b"\xff\xff", b"\x0a\x00"] {
            assert!(Typing::decode(payload).is_none());
        }
    }
}
