//! Sizes in configuration: "64KiB".

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units from large to small, so that the first that divides a count is the one to show it in.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes, written as `"512B"`, `"64KiB"`, `"10MiB"`, `"2GiB"`, `"1TiB"` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteCount(u64);

impl ByteCount {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `kibibytes` times 1,024 bytes, at most `u64::MAX`.
    pub const fn kibibytes(kibibytes: u64) -> Self {
        Self(kibibytes.saturating_mul(1 << 10))
    }

    /// `mebibytes` times 1,048,576 bytes, at most `u64::MAX`.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes as a size in memory; `usize::MAX` where that is smaller.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A text that is not a [`ByteCount`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write a whole number and a unit (B, KiB, MiB, GiB, TiB), such as \"64KiB\"")]
pub struct ByteCountError(String);

impl FromStr for ByteCount {
    type Err = ByteCountError;

    fn from_str(text: &str) -> Result<Self, ByteCountError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
        number
            .parse()
            .ok()
            .zip(factor)
            .and_then(|(number, factor): (u64, u64)| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| ByteCountError(text.to_owned()))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) =
            UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

impl Serialize for ByteCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ByteCount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64KiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteCount, E> {
                u64::try_from(bytes).map(ByteCount).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteCount, E> {
                Ok(ByteCount(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteCount, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_in_the_largest_unit_that_divides_them() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("10MiB", 10_485_760),
            ("3GiB", 3_221_225_472),
            ("1TiB", 1_099_511_627_776),
        ] {
            let count: ByteCount = text.parse().unwrap();
            assert_eq!(count.as_u64(), bytes);
            assert_eq!(count.to_string(), text);
        }
        assert_eq!("64 KiB".parse(), Ok(ByteCount::kibibytes(64)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "KiB", "64", "64KB", "64kib", "-1B", "1.5MiB", "64KiBs", "99999999999TiB", "18446744073709551616B"]
        {
            let error = text.parse::<ByteCount>().unwrap_err().to_string();
            assert!(error.contains("KiB, MiB"), "{error}");
        }
    }
}
