//! Durations in configuration: "5s". For fields of type [`Duration`]: `#[serde(with = "huddle_service::config::duration")]`.

use std::{fmt, time::Duration};

use serde::{Deserializer, Serializer, de, ser};

/// Units and their milliseconds, from large to small, so that the first that divides a duration is the one to show it in.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a whole number and a unit (ms, s, m, h, d), such as \"5s\"")]
pub struct DurationError(String);

/// Reads a whole number with the unit `ms`, `s`, `m`, `h` or `d`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
    number
        .parse()
        .ok()
        .zip(factor)
        .and_then(|(number, factor): (u64, u64)| number.checked_mul(factor))
        .map(Duration::from_millis)
        .ok_or_else(|| DurationError(text.to_owned()))
}

/// Reads a field by the rules of [`parse`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"5s\", \"250ms\" or \"2m\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Visitor)
}

/// Writes a field so that [`deserialize`] reads the same. Refuses parts of a millisecond.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let milliseconds = u64::try_from(duration.as_millis()).ok();
    let Some(milliseconds) = milliseconds.filter(|exact| Duration::from_millis(*exact) == *duration) else {
        return Err(ser::Error::custom("a configured duration is a whole number of milliseconds"));
    };
    if milliseconds == 0 {
        return serializer.serialize_str("0s");
    }
    let (name, factor) = UNITS.iter().find(|(_, factor)| milliseconds.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
    serializer.collect_str(&format_args!("{}{name}", milliseconds / factor))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Section {
        #[serde(with = "super")]
        wait: Duration,
    }

    #[test]
    fn durations_survive_writing_and_reading() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5_000),
            ("1500ms", 1_500),
            ("2m", 120_000),
            ("36h", 129_600_000),
            ("7d", 604_800_000),
        ] {
            let toml = format!("wait = \"{text}\"\n");
            let section: Section = toml::from_str(&toml).unwrap();
            assert_eq!(section.wait, Duration::from_millis(milliseconds));
            assert_eq!(toml::to_string(&section).unwrap(), toml);
        }
    }

    #[test]
    fn other_values_are_refused() {
        for text in
            ["", "5", "s", "-5s", "1.5s", "5sec", "1m30s", "5 S", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        let error = toml::from_str::<Section>("wait = 5").unwrap_err();
        assert!(error.message().contains("a duration such as"), "{error}");
        assert!(toml::to_string(&Section { wait: Duration::from_nanos(1) }).is_err());
    }
}
