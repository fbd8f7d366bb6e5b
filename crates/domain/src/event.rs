//! Events: the entries of a team's log, and the texts they carry.

use std::{fmt, sync::Arc};

use crate::{
    ClientId, Role, Seq, Tags, TeamId, UnixMillis, UserId,
    limits::{BODY_CHARACTERS_MAX, NAME_CHARACTERS_MAX},
};

/// An event that has no position yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The team whose log it is for.
    pub team: TeamId,
    /// Who causes it.
    pub sender: UserId,
    /// The sender's idempotency key within the team: a retry carries the same one.
    pub client_id: ClientId,
    /// What happens.
    pub kind: EventKind,
}

impl NewEvent {
    /// The key under which this event happens at most once, for good.
    pub fn key(&self) -> SendKey {
        SendKey { team: self.team.clone(), sender: self.sender.clone(), client_id: self.client_id.clone() }
    }

    /// The event at its place in the log.
    pub fn at(self, seq: Seq, prev_seq: Seq, time: UnixMillis) -> Event {
        let Self { team, sender, client_id, kind } = self;
        Event { team, seq, prev_seq, time, sender, client_id, kind }
    }
}

/// An event at its place in a team's log. Immutable: edits and deletions are events of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The team whose log holds it.
    pub team: TeamId,
    /// Its position.
    pub seq: Seq,
    /// The position of the event before it in the same team; 0 = it is the first, or the one before is not known.
    pub prev_seq: Seq,
    /// When the log took it.
    pub time: UnixMillis,
    /// Who caused it.
    pub sender: UserId,
    /// The sender's idempotency key within the team.
    pub client_id: ClientId,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// The position up to which a reader who met this event out of turn has to read elsewhere: that of the event before it;
    /// its own where it does not know that one, because it has aged out of the log.
    pub const fn known_through(&self) -> Seq {
        if self.prev_seq.is_zero() { self.seq } else { self.prev_seq }
    }

    /// The key under which this event happened.
    pub fn key(&self) -> SendKey {
        SendKey { team: self.team.clone(), sender: self.sender.clone(), client_id: self.client_id.clone() }
    }

    /// Whether `new` is what a retry of this event would be: same key, same content.
    pub fn is_same_send(&self, new: &NewEvent) -> bool {
        self.team == new.team && self.sender == new.sender && self.client_id == new.client_id && self.kind == new.kind
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A message was posted.
    Posted {
        /// Its text, as sent.
        body: Body,
        /// Whom it mentions, and what it is about.
        tags: Tags,
    },
    /// The team was created; `owner` is its first member, with [`Role::Owner`].
    TeamCreated {
        /// The team's name.
        name: Name,
        /// The first owner.
        owner: UserId,
    },
    /// The team got another name.
    TeamRenamed {
        /// The new name.
        name: Name,
    },
    /// The team was archived: it takes no further messages and stays readable.
    TeamArchived,
    /// `user` became a member.
    MemberAdded {
        /// The new member.
        user: UserId,
        /// Their role.
        role: Role,
        /// Their display name, when it is known.
        name: Option<Name>,
    },
    /// `user` is no longer a member, from this event on.
    MemberRemoved {
        /// The former member.
        user: UserId,
    },
    /// `user` has another role.
    MemberRoleChanged {
        /// The member.
        user: UserId,
        /// The new role.
        role: Role,
    },
}

impl EventKind {
    /// A message without tags.
    pub fn posted(body: Body) -> Self {
        Self::Posted { body, tags: Tags::default() }
    }
}

/// The key under which an event happens at most once, for good: team, sender, and the sender's own id for the send.
/// Nobody's key can suppress another's event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SendKey {
    /// The team.
    pub team: TeamId,
    /// The sender.
    pub sender: UserId,
    /// The sender's id for the send.
    pub client_id: ClientId,
}

/// A message's text: 1 to [`BODY_CHARACTERS_MAX`] code points, no NUL, otherwise exactly as sent. Its `Debug` shows
/// the length only, so that no log line ever holds a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Arc<str>);

/// Why a text is not a message's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The text is empty.
    #[error("a body has at least 1 character")]
    Empty,
    /// The text is longer than [`BODY_CHARACTERS_MAX`].
    #[error("a body has at most {BODY_CHARACTERS_MAX} characters")]
    TooLong,
    /// The text holds U+0000, which Postgres cannot keep.
    #[error("a body holds no NUL character")]
    Nul,
}

impl Body {
    /// Checks `text` and takes it as a body.
    pub fn parse(text: &str) -> Result<Self, BodyError> {
        if text.is_empty() {
            Err(BodyError::Empty)
        } else if text.contains('\0') {
            Err(BodyError::Nul)
        } else if is_longer(text, BODY_CHARACTERS_MAX) {
            Err(BodyError::TooLong)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// A display name of a team or a user: 1 to [`NAME_CHARACTERS_MAX`] code points, not blank, without control
/// characters and without characters that turn the direction of the text around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty or blank.
    #[error("a name has at least 1 visible character")]
    Blank,
    /// The text is longer than [`NAME_CHARACTERS_MAX`].
    #[error("a name has at most {NAME_CHARACTERS_MAX} characters")]
    TooLong,
    /// The text holds a control character or one that changes the direction of text.
    #[error("a name holds no control characters and none that change the direction of text")]
    Control,
}

impl Name {
    /// Checks `text` and takes it as a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            Err(NameError::Blank)
        } else if is_longer(text, NAME_CHARACTERS_MAX) {
            Err(NameError::TooLong)
        } else if text.chars().any(|character| character.is_control() || turns_direction(character)) {
            Err(NameError::Control)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes are counted first: a text of `limit` bytes cannot have more characters than that.
fn is_longer(text: &str, limit: usize) -> bool {
    text.len() > limit && text.chars().count() > limit
}

/// The explicit bidirectional controls of Unicode (UAX #9, section 2).
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_bounded_in_characters_not_bytes() {
        assert!(Body::parse(&"ä".repeat(BODY_CHARACTERS_MAX)).is_ok());
        assert_eq!(Body::parse(&"a".repeat(BODY_CHARACTERS_MAX + 1)), Err(BodyError::TooLong));
        assert_eq!(Body::parse(""), Err(BodyError::Empty));
        assert_eq!(Body::parse("a\0b"), Err(BodyError::Nul));
    }

    #[test]
    fn a_body_never_shows_its_text_in_debug_output() {
        assert_eq!(format!("{:?}", Body::parse("secret").unwrap()), "Body(6 bytes)");
    }

    #[test]
    fn a_name_cannot_disguise_itself() {
        assert!(Name::parse("Zoë & Co").is_ok());
        for (text, error) in
            [(" \t", NameError::Blank), ("a\nb", NameError::Control), ("a\u{202e}b", NameError::Control)]
        {
            assert_eq!(Name::parse(text), Err(error), "{text:?}");
        }
    }
}
