//! What a line of a recording says.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The version of the format that this crate reads and writes.
pub const FORMAT: u32 = 1;

/// The client of a [`Note::History`] line.
pub const HISTORY_CLIENT: &str = "history";

/// How many bytes of a body's SHA-256 are kept: 2^-64 is never, and bodies stay out of recordings.
const DIGEST_BYTES: usize = 8;

/// The kinds of events that mean something to the checker, as [`EventNote::kind`] spells them. Any other kind, named as
/// in `huddle.event.v1.Event`, is an event like all others.
pub mod kind {
    /// A message.
    pub const POSTED: &str = "posted";
    /// The team's first event; its subject, the owner, is a member from there on.
    pub const TEAM_CREATED: &str = "team_created";
    /// The subject is a member from this event on, the event itself included.
    pub const MEMBER_ADDED: &str = "member_added";
    /// The subject is no member from this event on; the event itself may still be shown to them.
    pub const MEMBER_REMOVED: &str = "member_removed";
}

/// The first line of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format: [`FORMAT`].
    pub recording: u32,
    /// The seed of whatever was random in the run.
    pub seed: u64,
    /// When the recording began: milliseconds since 1970-01-01T00:00:00Z. All other times count from here.
    pub began_ms: u64,
}

/// One thing that a client did or saw. `S` is how names and texts are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line<S = String> {
    /// When: microseconds since the recording began.
    pub at_us: u64,
    /// Who: a name of the client's own, unique in the recording and kept across reconnects.
    pub client: S,
    /// On which of the client's connections, counted from 0. A line without a connection (a read over another way, a
    /// change of members) bears the number of the present or of the next one.
    pub connection: u32,
    /// What.
    #[serde(flatten)]
    pub note: Note<S>,
}

/// What a client did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note<S = String> {
    /// The connection is open and its user is known.
    Connected {
        /// The user.
        user: S,
        /// The gateway, or what else answers.
        gateway: S,
        /// What of a team this connection shows.
        sees: Sees,
    },
    /// The connection is gone.
    Disconnected {
        /// In words: for people.
        reason: S,
    },
    /// A send leaves the client: written before the first byte goes out, at every attempt.
    Send {
        /// The team.
        team: S,
        /// The idempotency key within team and sender.
        client_id: S,
        /// Of the body: see [`digest`].
        digest: S,
    },
    /// The first receipt: the log has the message.
    Accepted {
        /// The team.
        team: S,
        /// The idempotency key.
        client_id: S,
        /// The message's position.
        seq: u64,
        /// Whether the service says that an earlier attempt had been taken.
        duplicate: bool,
    },
    /// A send was refused.
    Refused {
        /// The team.
        team: S,
        /// The idempotency key.
        client_id: S,
        /// The stable error code.
        code: S,
        /// Whether trying again may help: if so, what became of this attempt is unknown.
        retryable: bool,
    },
    /// The second receipt: all that this connection sent to the team and was accepted up to `seq` is in the record.
    Stored {
        /// The team.
        team: S,
        /// Up to here, inclusive.
        seq: u64,
    },
    /// The client asks for a team's events.
    Subscribe {
        /// The team.
        team: S,
        /// After this position (exclusive); `None` = only what happens from now on.
        after: Option<u64>,
    },
    /// The subscription stands.
    Subscribed {
        /// The team.
        team: S,
        /// The team's last position at that moment.
        last_seq: u64,
    },
    /// An event arrived.
    Event(EventNote<S>),
    /// The service says that everything up to `seq` has been sent.
    CaughtUp {
        /// The team.
        team: S,
        /// Up to here, inclusive.
        seq: u64,
    },
    /// The subscription ended without the client asking for it.
    Ended {
        /// The team.
        team: S,
        /// The stable code.
        code: S,
    },
    /// A read of history leaves the client.
    Read {
        /// The read's number, unique within the client.
        read: u64,
        /// The team.
        team: S,
        /// Events after this position (exclusive).
        after: u64,
        /// The answer must hold everything up to this position; 0 = whatever is stored.
        min_seq: u64,
    },
    /// A read was answered.
    ReadDone {
        /// The read's number.
        read: u64,
        /// The page, oldest first, of all kinds unless the connection sees messages only.
        events: Vec<EventNote<S>>,
        /// Whether there are more events after the last one here.
        has_more: bool,
    },
    /// A read was refused or was not answered in time.
    ReadRefused {
        /// The read's number.
        read: u64,
        /// The stable error code.
        code: S,
    },
    /// A change of members was acknowledged to this client, who had asked for it.
    MembershipChange {
        /// The team.
        team: S,
        /// Whose membership.
        user: S,
        /// The position of its event.
        seq: u64,
        /// Added or removed.
        kind: Change,
    },
    /// A fault begins.
    Fault {
        /// The row of the list of faults, or another name of the fault.
        row: S,
        /// In words: for people.
        what: S,
    },
    /// A fault is over.
    Healed {
        /// As in the [`Note::Fault`].
        row: S,
    },
    /// After healing, this client has everything of the team up to here and expects nothing more.
    Settled {
        /// The team.
        team: S,
        /// The client's cursor.
        cursor: u64,
    },
    /// Everything of a team, oldest first, as history shows it at the end. Its client is [`HISTORY_CLIENT`]. A team
    /// with many events may have several such lines, one after the other, each going on where the last one ended; an
    /// empty team has one without events.
    History {
        /// The team.
        team: S,
        /// The events, in the order shown.
        events: Vec<EventNote<S>>,
    },
}

/// What of a team a connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sees {
    /// Events of all kinds, with `prev_seq`.
    Events,
    /// Events of kind posted only, without `prev_seq`: Socket.IO.
    Messages,
}

/// What happened to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The user became a member.
    Added,
    /// The user is no member any longer.
    Removed,
}

/// An event, as someone saw it. What that way of seeing does not show is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventNote<S = String> {
    /// The team.
    pub team: S,
    /// The position.
    pub seq: u64,
    /// The position of the team's event before it; 0 = the first, or not known; absent = not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_seq: Option<u64>,
    /// Who caused it.
    pub sender: S,
    /// The sender's idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<S>,
    /// Of the body, when it is a message: see [`digest`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<S>,
    /// One of [`kind`], or any other.
    pub kind: S,
    /// The user added or removed; the owner, where a team is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<S>,
}

impl<S> Line<S> {
    /// The same with every name and text put through `f`.
    pub(crate) fn map<T>(self, mut f: impl FnMut(S) -> T) -> Line<T> {
        let client = f(self.client);
        Line { at_us: self.at_us, client, connection: self.connection, note: self.note.map(&mut f) }
    }
}

impl<S> Note<S> {
    fn map<T>(self, f: &mut impl FnMut(S) -> T) -> Note<T> {
        match self {
            Self::Connected { user, gateway, sees } => Note::Connected { user: f(user), gateway: f(gateway), sees },
            Self::Disconnected { reason } => Note::Disconnected { reason: f(reason) },
            Self::Send { team, client_id, digest } => {
                Note::Send { team: f(team), client_id: f(client_id), digest: f(digest) }
            }
            Self::Accepted { team, client_id, seq, duplicate } => {
                Note::Accepted { team: f(team), client_id: f(client_id), seq, duplicate }
            }
            Self::Refused { team, client_id, code, retryable } => {
                Note::Refused { team: f(team), client_id: f(client_id), code: f(code), retryable }
            }
            Self::Stored { team, seq } => Note::Stored { team: f(team), seq },
            Self::Subscribe { team, after } => Note::Subscribe { team: f(team), after },
            Self::Subscribed { team, last_seq } => Note::Subscribed { team: f(team), last_seq },
            Self::Event(event) => Note::Event(event.map(f)),
            Self::CaughtUp { team, seq } => Note::CaughtUp { team: f(team), seq },
            Self::Ended { team, code } => Note::Ended { team: f(team), code: f(code) },
            Self::Read { read, team, after, min_seq } => Note::Read { read, team: f(team), after, min_seq },
            Self::ReadDone { read, events, has_more } => {
                Note::ReadDone { read, events: events.into_iter().map(|event| event.map(f)).collect(), has_more }
            }
            Self::ReadRefused { read, code } => Note::ReadRefused { read, code: f(code) },
            Self::MembershipChange { team, user, seq, kind } => {
                Note::MembershipChange { team: f(team), user: f(user), seq, kind }
            }
            Self::Fault { row, what } => Note::Fault { row: f(row), what: f(what) },
            Self::Healed { row } => Note::Healed { row: f(row) },
            Self::Settled { team, cursor } => Note::Settled { team: f(team), cursor },
            Self::History { team, events } => {
                let team = f(team);
                Note::History { team, events: events.into_iter().map(|event| event.map(f)).collect() }
            }
        }
    }
}

impl<S> EventNote<S> {
    fn map<T>(self, f: &mut impl FnMut(S) -> T) -> EventNote<T> {
        EventNote {
            team: f(self.team),
            seq: self.seq,
            prev_seq: self.prev_seq,
            sender: f(self.sender),
            client_id: self.client_id.map(&mut *f),
            digest: self.digest.map(&mut *f),
            kind: f(self.kind),
            subject: self.subject.map(f),
        }
    }
}

/// What stands for a body: the first 16 hexadecimal digits of the SHA-256 of its UTF-8.
pub fn digest(body: &str) -> String {
    let sha256 = Sha256::digest(body.as_bytes());
    let mut text = String::with_capacity(2 * DIGEST_BYTES);
    for byte in &sha256[..DIGEST_BYTES] {
        // Writing into memory does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads_as_it_was_written(note: Note, json: &str) {
        let line = Line { at_us: 1_500, client: "native-1".to_owned(), connection: 2, note };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, format!(r#"{{"at_us":1500,"client":"native-1","connection":2,{json}}}"#));
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }

    #[test]
    fn lines_keep_their_spelling() {
        let team = || "demo".to_owned();
        reads_as_it_was_written(
            Note::Connected { user: "alice".into(), gateway: "gateway-0".into(), sees: Sees::Messages },
            r#""note":"connected","user":"alice","gateway":"gateway-0","sees":"messages""#,
        );
        reads_as_it_was_written(
            Note::Accepted { team: team(), client_id: "c1".into(), seq: u64::MAX, duplicate: false },
            r#""note":"accepted","team":"demo","client_id":"c1","seq":18446744073709551615,"duplicate":false"#,
        );
        reads_as_it_was_written(
            Note::Subscribe { team: team(), after: None },
            r#""note":"subscribe","team":"demo","after":null"#,
        );
        let event = EventNote {
            team: team(),
            seq: 7,
            prev_seq: Some(6),
            sender: "alice".into(),
            client_id: None,
            digest: Some(digest("hello")),
            kind: kind::POSTED.into(),
            subject: None,
        };
        reads_as_it_was_written(
            Note::Event(event.clone()),
            r#""note":"event","team":"demo","seq":7,"prev_seq":6,"sender":"alice","digest":"2cf24dba5fb0a30e","kind":"posted""#,
        );
        reads_as_it_was_written(
            Note::ReadDone { read: 3, events: vec![event], has_more: true },
            r#""note":"read_done","read":3,"events":[{"team":"demo","seq":7,"prev_seq":6,"sender":"alice","digest":"2cf24dba5fb0a30e","kind":"posted"}],"has_more":true"#,
        );
        reads_as_it_was_written(
            Note::MembershipChange { team: team(), user: "bob".into(), seq: 8, kind: Change::Removed },
            r#""note":"membership_change","team":"demo","user":"bob","seq":8,"kind":"removed""#,
        );
    }
}
