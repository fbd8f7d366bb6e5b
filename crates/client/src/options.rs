//! Where to connect, as whom, and in which encoding.

use std::{fmt, sync::Arc};

/// How frames are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Text frames of JSON: subprotocol `huddle.v1.json`.
    Json,
    /// Binary frames of protobuf: subprotocol `huddle.v1.proto`.
    #[default]
    Proto,
}

impl Encoding {
    /// The WebSocket subprotocol of the encoding.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "huddle.v1.json",
            Self::Proto => "huddle.v1.proto",
        }
    }
}

/// A user's token. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The text that goes into `hello`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Token {
    fn from(token: T) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a connection needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The gateway's endpoint, such as `ws://127.0.0.1:8080/v1/ws`.
    pub url: Arc<str>,
    /// The user's token.
    pub token: Token,
    /// How frames are encoded.
    pub encoding: Encoding,
}

impl ClientOptions {
    /// Connects to `url` with `token`, in the default encoding (protobuf).
    pub fn new(url: impl Into<Arc<str>>, token: impl Into<Token>) -> Self {
        Self { url: url.into(), token: token.into(), encoding: Encoding::default() }
    }

    /// The same in another encoding.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_shows_in_debug_output() {
        let options = ClientOptions::new("ws://127.0.0.1:1/v1/ws", "secret-token");
        assert!(!format!("{options:?}").contains("secret"));
    }
}
