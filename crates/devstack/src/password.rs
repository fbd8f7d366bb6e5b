//! Owns the password of a server: random, kept in a file that only its owner reads, never in a log.

use std::fmt;

/// 128 random bits in hexadecimal.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    pub(crate) fn from_file(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}
