//! The kinds of lines, and how each is written and read.

use huddle_domain::{Event, Seq, TeamId};
use huddle_proto::event::v1 as wire;
use serde::{Deserialize, Serialize};

use super::FileError;
use crate::{TeamPlan, TeamSummary};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u64 = 1;

/// The key that an event's line begins with.
const EVENT_KEY: &str = "team";
const HEAD_KEY: &str = "huddle_export";
const PLAN_KEY: &str = "plan";
const TEAM_END_KEY: &str = "team_end";
const END_KEY: &str = "end";

/// How much of an unknown key is shown.
const SHOWN_KEY_CHARACTERS_MAX: usize = 40;

/// A line.
#[derive(Debug)]
pub(crate) enum Line {
    Head(Head),
    Plan(TeamPlan),
    Event(Event),
    TeamEnd(TeamSummary),
    End(Totals),
}

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) version: u64,
    /// When the export began: milliseconds since 1970-01-01T00:00:00Z.
    #[serde(with = "number")]
    pub(crate) created_ms: u64,
    /// The program that wrote it.
    pub(crate) program: String,
    /// The teams that were asked for, ascending; `None` for a whole instance.
    pub(crate) selection: Option<Vec<String>>,
    /// How many plan lines follow.
    #[serde(with = "number")]
    pub(crate) teams: u64,
    /// How many events they announce.
    #[serde(with = "number")]
    pub(crate) events: u64,
}

/// What the last line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    #[serde(with = "number")]
    pub(crate) teams: u64,
    #[serde(with = "number")]
    pub(crate) events: u64,
}

#[derive(Serialize, Deserialize)]
struct PlanFields {
    team: String,
    #[serde(with = "number")]
    last_seq: u64,
    #[serde(with = "number")]
    events: u64,
}

#[derive(Serialize, Deserialize)]
struct TeamEndFields {
    team: String,
    #[serde(with = "number")]
    events: u64,
    #[serde(with = "number")]
    last_seq: u64,
    #[serde(with = "hexadecimal")]
    sha256: [u8; 32],
}

/// A line that is no event: an object with one key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Control {
    HuddleExport(Head),
    Plan(PlanFields),
    TeamEnd(TeamEndFields),
    End(Totals),
}

/// The version of whatever format a first line has.
#[derive(Deserialize)]
struct AnyHead {
    huddle_export: AnyVersion,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

/// Appends a line that is no event. An event's line is written by [`write_line`](crate::digest::write_line).
pub(crate) fn write_control(buffer: &mut Vec<u8>, line: &Line) {
    let control = match line {
        Line::Head(head) => Control::HuddleExport(head.clone()),
        Line::Plan(plan) => Control::Plan(PlanFields {
            team: plan.team.to_string(),
            last_seq: plan.last_seq.get(),
            events: plan.events,
        }),
        Line::TeamEnd(summary) => Control::TeamEnd(TeamEndFields {
            team: summary.team.to_string(),
            events: summary.events,
            last_seq: summary.last_seq.get(),
            sha256: summary.sha256,
        }),
        Line::End(totals) => Control::End(*totals),
        Line::Event(event) => return crate::digest::write_line(buffer, event),
    };
    // Writing into memory does not fail, and all keys are texts.
    #[expect(clippy::expect_used, reason = "these types have a JSON form")]
    serde_json::to_writer(&mut *buffer, &control).expect("these types have a JSON form");
    buffer.push(b'\n');
}

impl Line {
    /// Reads the line with the number `line`, which counts from 1.
    pub(crate) fn parse(bytes: &[u8], line: u64) -> Result<Self, FileError> {
        use FileError::{Malformed, NotAnExport, NotJson, UnknownKind};
        Self::parse_any(bytes, line).map_err(|error| match error {
            NotJson { line: 1, .. } | Malformed { line: 1, .. } | UnknownKind { line: 1, .. } => NotAnExport,
            error => error,
        })
    }

    fn parse_any(bytes: &[u8], line: u64) -> Result<Self, FileError> {
        match first_key(bytes) {
            Some(EVENT_KEY) => parse_event(bytes, line),
            Some(key @ (HEAD_KEY | PLAN_KEY | TEAM_END_KEY | END_KEY)) => {
                if key == HEAD_KEY {
                    check_version(bytes, line)?;
                }
                parse_control(bytes, line)
            }
            Some(key) => match parse_json::<serde::de::IgnoredAny>(bytes, line) {
                Ok(_) => Err(FileError::UnknownKind { line, kind: shown(key) }),
                Err(error) => Err(error),
            },
            None => match parse_json::<serde::de::IgnoredAny>(bytes, line) {
                Ok(_) => Err(FileError::Malformed { line, column: 1 }),
                Err(error) => Err(error),
            },
        }
    }
}

fn parse_event(bytes: &[u8], line: u64) -> Result<Line, FileError> {
    let event = parse_json::<wire::Event>(bytes, line)?;
    Event::try_from(event).map(Line::Event).map_err(|source| FileError::Event { line, source })
}

fn check_version(bytes: &[u8], line: u64) -> Result<(), FileError> {
    match parse_json::<AnyHead>(bytes, line)?.huddle_export.version {
        VERSION => Ok(()),
        found => Err(FileError::Version { found }),
    }
}

fn parse_control(bytes: &[u8], line: u64) -> Result<Line, FileError> {
    let team = |id: &str| TeamId::parse(id).map_err(|_| FileError::Malformed { line, column: 1 });
    Ok(match parse_json::<Control>(bytes, line)? {
        Control::HuddleExport(head) => Line::Head(head),
        Control::Plan(plan) => {
            Line::Plan(TeamPlan { team: team(&plan.team)?, last_seq: Seq::new(plan.last_seq), events: plan.events })
        }
        Control::TeamEnd(end) => Line::TeamEnd(TeamSummary {
            team: team(&end.team)?,
            events: end.events,
            last_seq: Seq::new(end.last_seq),
            sha256: end.sha256,
        }),
        Control::End(totals) => Line::End(totals),
    })
}

/// The parser's own words may repeat a part of a message, so that only the place is kept.
fn parse_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], line: u64) -> Result<T, FileError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => FileError::Malformed { line, column: error.column() },
        _ => FileError::NotJson { line, column: error.column() },
    })
}

/// The first key of the object that `bytes` begin with.
fn first_key(bytes: &[u8]) -> Option<&str> {
    let rest = bytes.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn shown(key: &str) -> String {
    key.chars().take(SHOWN_KEY_CHARACTERS_MAX).collect()
}

/// A whole number as ProtoJSON has it: written as a text, read as a text or a number.
mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrNumber {
        Text(String),
        Number(u64),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        match TextOrNumber::deserialize(deserializer)? {
            TextOrNumber::Text(text) => text.parse().map_err(D::Error::custom),
            TextOrNumber::Number(number) => Ok(number),
        }
    }
}

/// 32 bytes as 64 hexadecimal digits.
mod hexadecimal {
    use std::fmt::Write as _;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in bytes {
            // Writing into memory does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(D::Error::custom("not 64 hexadecimal digits"));
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            // Two ASCII digits, as checked.
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}
