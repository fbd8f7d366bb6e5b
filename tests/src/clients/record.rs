//! Owns what clients noted down, and the reading of JSON frames as `gateway.proto` describes them. Our own decoder has
//! no part in it: what Node and Python received is judged from the text.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::socketio;

/// What one client received, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Record {
    /// The name in the plan.
    pub connection: String,
    /// Everything that it received.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The events of `team`, over all connections of this client.
    pub fn events(&self, team: &str) -> impl Iterator<Item = &EventSeen> {
        self.entries.iter().filter_map(move |entry| match &entry.content {
            Content::Event(event) if event.team == team => Some(event),
            _ => None,
        })
    }

    /// The first receipts.
    pub fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        self.entries.iter().filter_map(|entry| match &entry.content {
            Content::Accepted(accepted) => Some(accepted),
            _ => None,
        })
    }

    /// The positions at which `team` was said to be caught up, with the connection's number.
    pub fn caught_up(&self, team: &str) -> Vec<(u32, u64)> {
        let caught_up = self.entries.iter().filter_map(|entry| match &entry.content {
            Content::CaughtUp { team: of, seq } if of == team => Some((entry.attempt, *seq)),
            _ => None,
        });
        caught_up.collect()
    }

    /// When it had caught up with `team`, each time. Clients of Socket.IO alone note it.
    pub fn caught_up_at(&self, team: &str) -> impl Iterator<Item = SystemTime> {
        self.entries.iter().filter_map(move |entry| match &entry.content {
            Content::CaughtUp { team: of, .. } if of == team => entry.at,
            _ => None,
        })
    }

    /// The numbers of the connections on which something came, but not that: a frame or an event `name`.
    pub fn connections_without(&self, name: &str) -> Vec<u32> {
        let on = |is_wanted: &dyn Fn(&Entry) -> bool| -> BTreeSet<u32> {
            self.entries.iter().filter(|entry| is_wanted(entry)).map(|entry| entry.attempt).collect()
        };
        let with = on(&|entry| matches!(&entry.content, Content::Other(other) if other == name));
        on(&|_| true).difference(&with).copied().collect()
    }

    /// How many connections it took.
    pub fn connections(&self) -> u32 {
        self.entries.iter().map(|entry| entry.attempt + 1).max().unwrap_or_default()
    }
}

/// One thing that a client received.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The number of the connection that it came on, from 0. Attempts that got no connection count.
    pub attempt: u32,
    /// When it came, to the millisecond. Clients of Socket.IO alone note it.
    pub at: Option<SystemTime>,
    /// What it is.
    pub content: Content,
}

/// What a frame says, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An event.
    Event(EventSeen),
    /// The end of a catch-up.
    CaughtUp {
        /// The team.
        team: String,
        /// The position.
        seq: u64,
    },
    /// The reply to a subscription.
    Subscribed {
        /// The team.
        team: String,
        /// The team's last position at that moment.
        last_seq: u64,
    },
    /// A first receipt.
    Accepted(Accepted),
    /// A second receipt.
    Stored {
        /// The team.
        team: String,
        /// The position, inclusive.
        seq: u64,
    },
    /// A refusal.
    Error {
        /// Its name in `ErrorCode`.
        code: String,
    },
    /// Something else: the name of its field in `ServerFrame`, or of Socket.IO's event.
    Other(String),
}

/// A first receipt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    /// The team.
    pub team: String,
    /// The position.
    #[serde(deserialize_with = "number")]
    pub seq: u64,
    /// The idempotency key.
    pub client_id: String,
    /// Whether it had happened before.
    #[serde(default)]
    pub duplicate: bool,
}

/// An event as a client received it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventSeen {
    /// The team.
    pub team: String,
    /// The position.
    #[serde(deserialize_with = "number")]
    pub seq: u64,
    /// The position before it.
    #[serde(default, deserialize_with = "number")]
    pub prev_seq: u64,
    /// Who caused it.
    pub sender: String,
    /// The sender's id for it.
    pub client_id: String,
    /// The text, when it is a message.
    #[serde(default, rename = "posted", deserialize_with = "body")]
    pub body: Option<String>,
}

/// A line of a record that a client wrote.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) connection: String,
    attempt: u32,
    frame: Option<Frame>,
    at_ms: Option<u64>,
    socketio: Option<String>,
    #[serde(default)]
    data: Value,
}

/// A server frame in JSON: exactly one field but `reply_to` is there.
#[derive(Debug, Deserialize)]
struct Frame {
    event: Option<EventSeen>,
    accepted: Option<Accepted>,
    caught_up: Option<Position>,
    stored: Option<Position>,
    subscribed: Option<LastPosition>,
    error: Option<ErrorSeen>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Position {
    team: String,
    #[serde(default, deserialize_with = "number")]
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct LastPosition {
    team: String,
    #[serde(default, deserialize_with = "number")]
    last_seq: u64,
}

#[derive(Debug, Deserialize)]
struct ErrorSeen {
    code: String,
}

impl Line {
    /// An acknowledgement of Socket.IO may be both receipts at once.
    pub(super) fn entries(self) -> Result<Vec<Entry>> {
        let contents = match (self.frame, self.socketio) {
            (Some(frame), None) => vec![frame.into()],
            (None, Some(event)) => socketio::contents(&event, &self.data)?,
            _ => None.context("a line is a frame or an event of Socket.IO")?,
        };
        let at = self.at_ms.map(|at_ms| SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms));
        Ok(contents.into_iter().map(|content| Entry { attempt: self.attempt, at, content }).collect())
    }
}

impl From<Frame> for Content {
    fn from(frame: Frame) -> Self {
        let Frame { event, accepted, caught_up, stored, subscribed, error, rest } = frame;
        event
            .map(Content::Event)
            .or_else(|| accepted.map(Content::Accepted))
            .or_else(|| caught_up.map(|Position { team, seq }| Content::CaughtUp { team, seq }))
            .or_else(|| stored.map(|Position { team, seq }| Content::Stored { team, seq }))
            .or_else(|| subscribed.map(|LastPosition { team, last_seq }| Content::Subscribed { team, last_seq }))
            .or_else(|| error.map(|ErrorSeen { code }| Content::Error { code }))
            .unwrap_or_else(|| {
                Content::Other(rest.into_iter().map(|(field, _)| field).find(|f| f != "reply_to").unwrap_or_default())
            })
    }
}

/// A 64-bit number: a text in JSON.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Posted {
        body: String,
    }
    Ok(Option::<Posted>::deserialize(deserializer)?.map(|posted| posted.body))
}
