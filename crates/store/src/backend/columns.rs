//! Owns the columns of an event's row, and their reading back. Reading is strict: a row that is no event is an error
//! that names it.

use huddle_domain::{
    Body, ClientId, Entity, EntityId, EntityKind, Event, EventKind, Name, Role, Seq, Tags, TeamId, UnixMillis, UserId,
};

use crate::{Message, StoreError};

/// The positions that a 64-bit column holds; none of a log's is above it.
pub fn to_bigint(seq: Seq) -> i64 {
    i64::try_from(seq.get()).unwrap_or(i64::MAX)
}

/// A position as it stands in a row.
pub fn from_bigint(seq: i64) -> Seq {
    // Held above zero by a check in the table.
    Seq::new(u64::try_from(seq).unwrap_or_default())
}

/// What a row says is none of the domain's. Its text holds ids, and no name or message.
#[derive(Debug, thiserror::Error)]
#[error("{column} of {table} {row} cannot be read: {reason}")]
pub struct Unreadable {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub row: String,
    /// The column.
    pub column: &'static str,
    /// Why not.
    pub reason: String,
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Broken { context: "reading a row".to_owned(), source: unreadable.into() }
    }
}

/// The columns of an event's row, in the order in which statements select them.
#[derive(Debug)]
pub struct EventColumns {
    /// The team.
    pub team_id: String,
    /// The position.
    pub seq: i64,
    /// When the log took it, in milliseconds since 1970.
    pub time_ms: i64,
    /// Who caused it.
    pub sender_id: String,
    /// The sender's key within the team.
    pub client_id: String,
    /// The kind's name.
    pub kind: String,
    /// A message's text.
    pub body: Option<String>,
    /// The member whom it is about.
    pub member_id: Option<String>,
    /// That member's role.
    pub member_role: Option<String>,
    /// The name that it gives, to the team or to the member.
    pub name: Option<String>,
    /// The users whom a message mentions; `None` when there are none.
    pub mentions: Option<Vec<String>>,
    /// What the thing is that a message is about.
    pub entity_kind: Option<String>,
    /// Which one of its kind.
    pub entity_id: Option<String>,
}

impl EventColumns {
    /// The event in this row, after the event at `prev_seq`.
    pub fn into_event(self, prev_seq: Seq) -> Result<Event, Unreadable> {
        Ok(Event {
            kind: self.kind()?,
            team: self.read("team_id", TeamId::parse(&self.team_id))?,
            seq: from_bigint(self.seq),
            prev_seq,
            time: UnixMillis(self.time_ms),
            sender: self.read("sender_id", UserId::parse(&self.sender_id))?,
            client_id: self.read("client_id", ClientId::parse(&self.client_id))?,
        })
    }

    /// The message in this row.
    pub fn into_message(self) -> Result<Message, Unreadable> {
        let EventKind::Posted { body, tags } = self.kind()? else {
            return Err(self.unreadable("kind", "not a message".to_owned()));
        };
        Ok(Message {
            team: self.read("team_id", TeamId::parse(&self.team_id))?,
            seq: from_bigint(self.seq),
            time: UnixMillis(self.time_ms),
            sender: self.read("sender_id", UserId::parse(&self.sender_id))?,
            client_id: self.read("client_id", ClientId::parse(&self.client_id))?,
            body,
            tags,
        })
    }

    fn kind(&self) -> Result<EventKind, Unreadable> {
        Ok(match self.kind.as_str() {
            "posted" => {
                let body = self.present("body", self.body.as_deref())?;
                EventKind::Posted { body: self.read("body", Body::parse(body))?, tags: self.tags()? }
            }
            "team_created" => EventKind::TeamCreated { name: self.name()?, owner: self.member()? },
            "team_renamed" => EventKind::TeamRenamed { name: self.name()? },
            "team_archived" => EventKind::TeamArchived,
            "member_added" => EventKind::MemberAdded {
                user: self.member()?,
                role: self.role()?,
                name: if self.name.is_some() { Some(self.name()?) } else { None },
            },
            "member_removed" => EventKind::MemberRemoved { user: self.member()? },
            "member_role_changed" => EventKind::MemberRoleChanged { user: self.member()?, role: self.role()? },
            other => return Err(self.unreadable("kind", format!("{other:?} is not known to this version"))),
        })
    }

    fn tags(&self) -> Result<Tags, Unreadable> {
        let column = self.mentions.as_deref().unwrap_or_default();
        let mentions = column.iter().map(|user| self.read("mentions", UserId::parse(user)));
        let entity = if self.entity_kind.is_some() || self.entity_id.is_some() { Some(self.entity()?) } else { None };
        let tags = self.read("mentions", Tags::new(mentions.collect::<Result<Vec<_>, _>>()?, entity))?;
        if tags.mentions().len() == column.len() {
            Ok(tags)
        } else {
            Err(self.unreadable("mentions", "a user stands there twice".to_owned()))
        }
    }

    fn entity(&self) -> Result<Entity, Unreadable> {
        let kind = self.present("entity_kind", self.entity_kind.as_deref())?;
        let id = self.present("entity_id", self.entity_id.as_deref())?;
        Ok(Entity {
            kind: self.read("entity_kind", EntityKind::parse(kind))?,
            id: self.read("entity_id", EntityId::parse(id))?,
        })
    }

    fn member(&self) -> Result<UserId, Unreadable> {
        self.read("member_id", UserId::parse(self.present("member_id", self.member_id.as_deref())?))
    }

    fn role(&self) -> Result<Role, Unreadable> {
        let role = self.present("member_role", self.member_role.as_deref())?;
        Role::from_name(role).ok_or_else(|| self.unreadable("member_role", "not known to this version".to_owned()))
    }

    fn name(&self) -> Result<Name, Unreadable> {
        self.read("name", Name::parse(self.present("name", self.name.as_deref())?))
    }

    fn present<'a>(&self, column: &'static str, value: Option<&'a str>) -> Result<&'a str, Unreadable> {
        value.ok_or_else(|| self.unreadable(column, "it is null".to_owned()))
    }

    fn read<T, E: ToString>(&self, column: &'static str, parsed: Result<T, E>) -> Result<T, Unreadable> {
        parsed.map_err(|error| self.unreadable(column, error.to_string()))
    }

    fn unreadable(&self, column: &'static str, reason: String) -> Unreadable {
        Unreadable { table: "events", row: format!("({}, {})", self.team_id, self.seq), column, reason }
    }
}

/// The columns of an event's row that depend on its kind.
#[derive(Debug, Default)]
pub struct KindColumns<'a> {
    /// The kind's name.
    pub kind: &'static str,
    /// A message's text.
    pub body: Option<&'a str>,
    /// The member whom it is about.
    pub member_id: Option<&'a str>,
    /// That member's role.
    pub member_role: Option<&'static str>,
    /// The name that it gives, to the team or to the member.
    pub name: Option<&'a str>,
    /// The users whom a message mentions; `None` when there are none.
    pub mentions: Option<&'a [UserId]>,
    /// What the thing is that a message is about.
    pub entity_kind: Option<&'a str>,
    /// Which one of its kind.
    pub entity_id: Option<&'a str>,
}

impl KindColumns<'_> {
    /// Whether any of the columns of a message's tags has a value.
    pub fn has_tags(&self) -> bool {
        self.mentions.is_some() || self.entity_kind.is_some()
    }
}

impl<'a> From<&'a EventKind> for KindColumns<'a> {
    fn from(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Posted { body, tags } => Self {
                kind: "posted",
                body: Some(body.as_str()),
                mentions: Some(tags.mentions()).filter(|users| !users.is_empty()),
                entity_kind: tags.entity().map(|entity| entity.kind.as_str()),
                entity_id: tags.entity().map(|entity| entity.id.as_str()),
                ..Self::default()
            },
            EventKind::TeamCreated { name, owner } => Self {
                kind: "team_created",
                name: Some(name.as_str()),
                member_id: Some(owner.as_str()),
                ..Self::default()
            },
            EventKind::TeamRenamed { name } => {
                Self { kind: "team_renamed", name: Some(name.as_str()), ..Self::default() }
            }
            EventKind::TeamArchived => Self { kind: "team_archived", ..Self::default() },
            EventKind::MemberAdded { user, role, name } => Self {
                kind: "member_added",
                member_id: Some(user.as_str()),
                member_role: Some(role.as_str()),
                name: name.as_ref().map(Name::as_str),
                ..Self::default()
            },
            EventKind::MemberRemoved { user } => {
                Self { kind: "member_removed", member_id: Some(user.as_str()), ..Self::default() }
            }
            EventKind::MemberRoleChanged { user, role } => Self {
                kind: "member_role_changed",
                member_id: Some(user.as_str()),
                member_role: Some(role.as_str()),
                ..Self::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> EventColumns {
        EventColumns {
            team_id: "a".to_owned(),
            seq: 7,
            time_ms: 1,
            sender_id: "ann".to_owned(),
            client_id: "c1".to_owned(),
            kind: "posted".to_owned(),
            body: Some("hello".to_owned()),
            member_id: None,
            member_role: None,
            name: None,
            mentions: None,
            entity_kind: None,
            entity_id: None,
        }
    }

    #[test]
    fn a_row_that_is_no_event_is_named_without_its_content() {
        let secret = || Some("secret\0".to_owned());
        let rows = [
            (EventColumns { body: secret(), ..row() }, "body"),
            (EventColumns { body: None, ..row() }, "body"),
            (EventColumns { kind: "edited".to_owned(), body: secret(), ..row() }, "kind"),
            (EventColumns { kind: "team_renamed".to_owned(), name: secret(), ..row() }, "name"),
            (EventColumns { kind: "member_removed".to_owned(), member_id: secret(), ..row() }, "member_id"),
            (EventColumns { mentions: Some(vec!["bob".to_owned(), "secret\0".to_owned()]), ..row() }, "mentions"),
            (EventColumns { mentions: Some(vec!["secret".to_owned(); 2]), ..row() }, "mentions"),
            (EventColumns { entity_kind: secret(), entity_id: Some("1".to_owned()), ..row() }, "entity_kind"),
            (EventColumns { entity_kind: Some("secret".to_owned()), ..row() }, "entity_id"),
            (EventColumns { entity_id: Some("secret".to_owned()), ..row() }, "entity_kind"),
        ];
        for (row, column) in rows {
            let error = row.into_event(Seq::ZERO).unwrap_err();
            assert_eq!(error.column, column);
            let text = error.to_string();
            assert!(text.contains("(a, 7)") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn positions_beyond_the_column_are_held_at_its_end() {
        assert_eq!(to_bigint(Seq::new(u64::MAX)), i64::MAX);
        assert_eq!(from_bigint(to_bigint(Seq::new(1_000_001))), Seq::new(1_000_001));
    }
}
