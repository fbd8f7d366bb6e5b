//! A session's id: where its home is, and a secret. Never logged.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use huddle_bus::PeerId;

use crate::engine::Secret;

/// `<gateway>.<worker>.<secret>`. Random bits: those of the secret, 192.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sid {
    pub(crate) peer: PeerId,
    pub(crate) worker: u32,
    pub(crate) secret: Secret,
}

impl Sid {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (peer, rest) = text.split_once('.')?;
        let (worker, secret) = rest.split_once('.')?;
        let mut bytes = Secret([0; _]);
        let is_whole = BASE64_URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes.0) == Ok(bytes.0.len());
        let sid = Self { peer: PeerId::parse(peer).ok()?, worker: worker.parse().ok()?, secret: bytes };
        // One text for each id.
        (is_whole && sid.to_text() == text).then_some(sid)
    }

    pub(crate) fn to_text(&self) -> String {
        format!("{}.{}.{}", self.peer, self.worker, BASE64_URL_SAFE_NO_PAD.encode(self.secret.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is_one() {
        let sid = Sid { peer: PeerId::random(), worker: 7, secret: Secret::random() };
        let text = sid.to_text();
        assert!(Sid::parse(&text) == Some(sid));
        let bad = [
            String::new(),
            "..".to_owned(),
            text.replace(".7.", ".07."),
            text.replace(".7.", ".-7."),
            format!("{text}A"),
            format!("{text}="),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
            "x".repeat(100_000),
        ];
        for text in bad {
            assert!(Sid::parse(&text).is_none(), "{text:?}");
        }
    }
}
