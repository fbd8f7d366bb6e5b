//! Owns the rows of `events`: their columns, and their reading back into events. Reading is strict: a row that is no
//! event is an error that names it.

use huddle_domain::{Body, ClientId, Event, EventKind, Name, Role, Seq, TeamId, UnixMillis, UserId};
use huddle_store::StoreError;

use crate::error::{Unreadable, broken};

/// The positions that a `bigint` holds; none of a log's is above it.
pub(crate) fn to_bigint(seq: Seq) -> i64 {
    i64::try_from(seq.get()).unwrap_or(i64::MAX)
}

/// A position as it stands in a row.
pub(crate) fn from_bigint(seq: i64) -> Seq {
    // Held above zero by a check in the table.
    Seq::new(u64::try_from(seq).unwrap_or_default())
}

/// Drops what was read only to know that there is more.
pub(crate) fn truncate<T>(rows: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// A row of `events`. Its columns, in this order, are what every statement selects.
#[derive(sqlx::FromRow)]
pub(crate) struct EventRow {
    pub(crate) team_id: String,
    pub(crate) seq: i64,
    time_ms: i64,
    sender_id: String,
    client_id: String,
    kind: String,
    body: Option<String>,
    member_id: Option<String>,
    member_role: Option<String>,
    name: Option<String>,
}

impl EventRow {
    /// The event in this row, after the event at `prev_seq`.
    pub(crate) fn into_event(self, prev_seq: Seq) -> Result<Event, StoreError> {
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

    fn kind(&self) -> Result<EventKind, StoreError> {
        Ok(match self.kind.as_str() {
            "posted" => {
                let body = self.present("body", self.body.as_deref())?;
                EventKind::Posted { body: self.read("body", Body::parse(body))? }
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

    fn member(&self) -> Result<UserId, StoreError> {
        self.read("member_id", UserId::parse(self.present("member_id", self.member_id.as_deref())?))
    }

    fn role(&self) -> Result<Role, StoreError> {
        let role = self.present("member_role", self.member_role.as_deref())?;
        Role::from_name(role).ok_or_else(|| self.unreadable("member_role", "not known to this version".to_owned()))
    }

    fn name(&self) -> Result<Name, StoreError> {
        self.read("name", Name::parse(self.present("name", self.name.as_deref())?))
    }

    fn present<'a>(&self, column: &'static str, value: Option<&'a str>) -> Result<&'a str, StoreError> {
        value.ok_or_else(|| self.unreadable(column, "it is null".to_owned()))
    }

    fn read<T, E: ToString>(&self, column: &'static str, parsed: Result<T, E>) -> Result<T, StoreError> {
        parsed.map_err(|error| self.unreadable(column, error.to_string()))
    }

    fn unreadable(&self, column: &'static str, reason: String) -> StoreError {
        let row = format!("({}, {})", self.team_id, self.seq);
        broken("reading an event", Unreadable { table: "events", row, column, reason })
    }
}

/// The columns of `events` that depend on the kind.
#[derive(Debug, Default)]
pub(crate) struct KindColumns<'a> {
    pub(crate) kind: &'static str,
    pub(crate) body: Option<&'a str>,
    pub(crate) member_id: Option<&'a str>,
    pub(crate) member_role: Option<&'static str>,
    pub(crate) name: Option<&'a str>,
}

impl<'a> From<&'a EventKind> for KindColumns<'a> {
    fn from(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Posted { body } => Self { kind: "posted", body: Some(body.as_str()), ..Self::default() },
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
