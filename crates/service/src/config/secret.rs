//! A configured secret, kept out of logs and errors.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is shown in a secret's place.
const REDACTED: &str = "[redacted]";

/// A text that nothing prints: `Debug`, `Display` and serialisation show that there is one, no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` as a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself. The one place to look for when asking where secrets go.
    pub const fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The deserializer's own error would show the value.
        String::deserialize(deserializer)
            .map(Self)
            .map_err(|_| de::Error::custom("a secret is a text in quotes (the value is not shown)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct Section {
        secret: Secret,
    }

    #[test]
    fn nothing_prints_a_secret() {
        let section: Section = toml::from_str("secret = \"hunter2\"").unwrap();
        assert_eq!(section.secret.expose(), "hunter2");
        for shown in [format!("{section:?}"), section.secret.to_string(), toml::to_string(&section).unwrap()] {
            assert!(!shown.contains("hunter2") && shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_shown_either() {
        let error = toml::from_str::<Section>("secret = 8675309").unwrap_err();
        assert!(!error.message().contains("8675309"), "{}", error.message());
    }
}
