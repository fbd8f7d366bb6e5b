//! Ids of teams, users and client sends. They become subject tokens and headers, so their alphabet is closed.

use std::{fmt, str::FromStr, sync::Arc};

use crate::limits::ID_LENGTH_MAX;

/// Why a text is not an id. The texts are safe to show: they never repeat the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id has no characters.
    #[error("an id has at least 1 character")]
    Empty,
    /// The id is longer than [`ID_LENGTH_MAX`].
    #[error("an id has at most {ID_LENGTH_MAX} characters")]
    TooLong,
    /// The id holds something other than `A-Z a-z 0-9 _ -`.
    #[error("an id consists of the characters A-Z, a-z, 0-9, _ and - only")]
    BadCharacter,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(IdError::TooLong);
    }
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        Ok(())
    } else {
        Err(IdError::BadCharacter)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 64 characters of `[A-Za-z0-9_-]`. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it as an id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// Names a team: the room, and the unit of order.
    TeamId
}
id! {
    /// Names a user.
    UserId
}

impl UserId {
    /// The id under which services act when no user does. No token names it, so that no user shares its idempotency
    /// keys.
    pub const SERVICE: &str = "service";
}
id! {
    /// Names what a thing of another application is, such as `issue`.
    EntityKind
}
id! {
    /// Names a thing of another application among those of its kind.
    EntityId
}
id! {
    /// Names one send of one user in one team; a retry carries the same one.
    ClientId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_closed_alphabet_are_taken() {
        for text in ["1", "team-1", "A_z-9", &"x".repeat(64)] {
            assert_eq!(TeamId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_would_break_a_subject_or_a_header_is_refused() {
        for text in ["a.b", "*", ">", "a b", "a\tb", "a\r\nb", "a\0", "ä", "a\u{2028}b", "a/b"] {
            assert_eq!(TeamId::parse(text), Err(IdError::BadCharacter), "{text:?}");
        }
        assert_eq!(TeamId::parse(""), Err(IdError::Empty));
        assert_eq!(TeamId::parse(&"x".repeat(65)), Err(IdError::TooLong));
    }
}
