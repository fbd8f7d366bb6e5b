//! The name of a gateway process.

use std::{fmt, str::FromStr, sync::Arc};

/// Digits of a [`PeerId`].
const DIGITS: usize = 16;

/// The text is no [`PeerId`]. Safe to show: it does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a peer's id has {DIGITS} digits 0-9 and a-f")]
pub struct PeerIdError;

/// Names a gateway process: 16 lowercase hexadecimal digits, drawn anew at each start. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// Draws an id.
    pub fn random() -> Self {
        Self(format!("{:0DIGITS$x}", rand::random::<u64>()).into())
    }

    /// Checks `text` and takes it as an id.
    pub fn parse(text: &str) -> Result<Self, PeerIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == DIGITS && text.bytes().all(is_digit) { Ok(Self(text.into())) } else { Err(PeerIdError) }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_differ_and_are_taken_back() {
        let drawn: Vec<_> = (0..100).map(|_| PeerId::random()).collect();
        let distinct: std::collections::HashSet<_> = drawn.iter().collect();
        assert_eq!(distinct.len(), drawn.len());
        assert!(drawn.iter().all(|id| PeerId::parse(&id.to_string()) == Ok(id.clone())));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "0",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "0123456789abcd.*",
            "0123456789abcdeé",
        ] {
            assert_eq!(PeerId::parse(text), Err(PeerIdError), "{text:?}");
        }
    }
}
