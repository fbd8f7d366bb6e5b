//! LabelLab's ids are whole numbers, which its clients send as numbers or as texts and compare as numbers. Huddle's are
//! texts. Here is the way between the two.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The largest whole number that every JavaScript client can tell from its neighbours (2^53 - 1).
pub(super) const EXACT_MAX: u64 = (1 << 53) - 1;

/// An id as a client sent it: a whole number or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentId(pub(super) String);

impl<'de> Deserialize<'de> for SentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = SentId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a text")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<SentId, E> {
                Ok(SentId(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<SentId, E> {
                Ok(SentId(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SentId, E> {
                Ok(SentId(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An id as clients get it: a number where it is one that every client can hold, else a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownId<'a>(pub(crate) &'a str);

impl Serialize for ShownId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_canonical =
            self.0 == "0" || !self.0.starts_with('0') && self.0.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.parse() {
            Ok(number) if is_canonical => ShownNumber(number).serialize(serializer),
            _ => serializer.serialize_str(self.0),
        }
    }
}

/// A position as clients get it: a number, unless it is one that not every client can hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownNumber(pub(crate) u64);

impl Serialize for ShownNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= EXACT_MAX { serializer.serialize_u64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_as_numbers_or_texts_and_mean_the_same() {
        for (json, id) in [("7", "7"), (r#""7""#, "7"), ("-3", "-3"), (r#""team-a""#, "team-a")] {
            assert_eq!(serde_json::from_str::<SentId>(json).unwrap().0, id);
        }
        for json in ["7.5", "true", "null", "[7]", "{}"] {
            assert!(serde_json::from_str::<SentId>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn numbers_are_shown_as_numbers_as_far_as_a_client_can_hold_them() {
        let cases = [
            ("7", "7"),
            ("0", "0"),
            ("9007199254740991", "9007199254740991"),
            ("9007199254740992", r#""9007199254740992""#),
            ("99999999999999999999", r#""99999999999999999999""#),
            ("007", r#""007""#),
            ("-3", r#""-3""#),
            ("team-a", r#""team-a""#),
        ];
        for (id, json) in cases {
            assert_eq!(serde_json::to_string(&ShownId(id)).unwrap(), json);
        }
    }
}
