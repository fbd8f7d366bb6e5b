//! That somebody is typing: a signal, which goes from gateway to gateway and is lost when nobody listens.

use bytes::Bytes;
use huddle_domain::{Name, UserId};
use huddle_proto::signal::v1 as wire;
use prost::Message as _;

/// Who is typing in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typing {
    pub(crate) user: UserId,
    /// Their display name, when it is known.
    pub(crate) name: Option<Name>,
}

impl Typing {
    /// How people call them.
    pub(super) fn shown_name(&self) -> &str {
        self.name.as_ref().map_or(self.user.as_str(), Name::as_str)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let name = self.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let typing = wire::Typing { user: self.user.to_string(), name };
        wire::Signal { kind: Some(wire::signal::Kind::Typing(typing)) }.encode_to_vec().into()
    }

    /// `None` when the signal is another one, or of a newer version.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let wire::signal::Kind::Typing(typing) = wire::Signal::decode(payload).ok()?.kind?;
        Some(Self { user: UserId::parse(&typing.user).ok()?, name: Name::parse(&typing.name).ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_the_same_on_every_gateway_and_nonsense_says_nothing() {
        let user = UserId::parse("7").unwrap();
        for name in [None, Name::parse("Zoë").ok()] {
            let typing = Typing { user: user.clone(), name };
            assert_eq!(Typing::decode(&typing.encode()), Some(typing));
        }
        for payload in [&b""[..], b"\xff\xff", b"\x0a\x00"] {
            assert_eq!(Typing::decode(payload), None);
        }
    }
}
