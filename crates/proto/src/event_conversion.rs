//! Events between the wire and the domain.

use huddle_domain::{
    Body, BodyError, ClientId, Entity, EntityId, EntityKind, Event, EventKind, IdError, Name, NameError, NewEvent,
    Role, Seq, Tags, TagsError, TeamId, UnixMillis, UserId,
};
use prost::Message as _;

use crate::event::v1 as wire;

/// Why a wire event is none of the domain's. None of these ever helps to retry.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The bytes are not a protobuf message of this kind.
    #[error("the bytes are not an event: {0}")]
    Undecodable(#[from] prost::DecodeError),
    /// An id is missing or malformed.
    #[error("the event's field `{field}` is not an id: {source}")]
    Id {
        /// The field's name in `event.proto`.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// The body is not one.
    #[error("the event's body is refused: {0}")]
    Body(#[from] BodyError),
    /// The tags are none.
    #[error("the event's tags are refused: {0}")]
    Tags(#[from] TagsError),
    /// A name is not one.
    #[error("the event's name is refused: {0}")]
    Name(#[from] NameError),
    /// The role is unset, or of a newer version.
    #[error("the event's role is not known to this version")]
    UnknownRole,
    /// The kind is unset, or of a newer version.
    #[error("the event's kind is not known to this version")]
    UnknownKind,
}

/// The log's payload for `event`: a `huddle.event.v1.Event` without what the log assigns.
pub fn encode_new_event(event: &NewEvent) -> Vec<u8> {
    wire::Event {
        team: event.team.to_string(),
        seq: 0,
        prev_seq: 0,
        time_ms: 0,
        sender: event.sender.to_string(),
        client_id: event.client_id.to_string(),
        kind: Some(kind_to_wire(&event.kind)),
    }
    .encode_to_vec()
}

/// The event in a log's payload. What the log assigns is ignored.
pub fn decode_new_event(payload: &[u8]) -> Result<NewEvent, EventError> {
    let event = wire::Event::decode(payload)?;
    Ok(NewEvent {
        team: team("team", &event.team)?,
        sender: user("sender", &event.sender)?,
        client_id: ClientId::parse(&event.client_id).map_err(|source| EventError::Id { field: "client_id", source })?,
        kind: kind_from_wire(event.kind.ok_or(EventError::UnknownKind)?)?,
    })
}

impl From<&Event> for wire::Event {
    fn from(event: &Event) -> Self {
        Self {
            team: event.team.to_string(),
            seq: event.seq.get(),
            prev_seq: event.prev_seq.get(),
            time_ms: event.time.0,
            sender: event.sender.to_string(),
            client_id: event.client_id.to_string(),
            kind: Some(kind_to_wire(&event.kind)),
        }
    }
}

impl TryFrom<wire::Event> for Event {
    type Error = EventError;

    fn try_from(event: wire::Event) -> Result<Self, EventError> {
        Ok(Self {
            team: team("team", &event.team)?,
            seq: Seq::new(event.seq),
            prev_seq: Seq::new(event.prev_seq),
            time: UnixMillis(event.time_ms),
            sender: user("sender", &event.sender)?,
            client_id: ClientId::parse(&event.client_id)
                .map_err(|source| EventError::Id { field: "client_id", source })?,
            kind: kind_from_wire(event.kind.ok_or(EventError::UnknownKind)?)?,
        })
    }
}

impl From<Role> for wire::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

impl wire::Role {
    /// The domain's role; `None` when unspecified.
    pub fn known(self) -> Option<Role> {
        match self {
            Self::Unspecified => None,
            Self::Member => Some(Role::Member),
            Self::Admin => Some(Role::Admin),
            Self::Owner => Some(Role::Owner),
        }
    }
}

fn team(field: &'static str, text: &str) -> Result<TeamId, EventError> {
    TeamId::parse(text).map_err(|source| EventError::Id { field, source })
}

fn user(field: &'static str, text: &str) -> Result<UserId, EventError> {
    UserId::parse(text).map_err(|source| EventError::Id { field, source })
}

fn role(number: i32) -> Result<Role, EventError> {
    wire::Role::try_from(number).ok().and_then(wire::Role::known).ok_or(EventError::UnknownRole)
}

/// The users whom a message mentions, as they stand on the wire.
pub fn mentions_to_wire(tags: &Tags) -> Vec<String> {
    tags.mentions().iter().map(ToString::to_string).collect()
}

/// The thing that a message is about, as it stands on the wire.
pub fn entity_to_wire(tags: &Tags) -> Option<wire::Entity> {
    tags.entity().map(|entity| wire::Entity { kind: entity.kind.to_string(), id: entity.id.to_string() })
}

/// The tags of a message on the wire.
pub fn tags_from_wire(mentions: &[String], entity: Option<&wire::Entity>) -> Result<Tags, EventError> {
    let mentions = mentions.iter().map(|mentioned| user("mentions", mentioned)).collect::<Result<Vec<_>, _>>()?;
    let entity = entity.map(entity_from_wire).transpose()?;
    Ok(Tags::new(mentions, entity)?)
}

fn entity_from_wire(entity: &wire::Entity) -> Result<Entity, EventError> {
    Ok(Entity {
        kind: EntityKind::parse(&entity.kind).map_err(|source| EventError::Id { field: "entity.kind", source })?,
        id: EntityId::parse(&entity.id).map_err(|source| EventError::Id { field: "entity.id", source })?,
    })
}

fn kind_to_wire(kind: &EventKind) -> wire::event::Kind {
    use wire::event::Kind;
    let role = |role: Role| wire::Role::from(role) as i32;
    match kind {
        EventKind::Posted { body, tags } => Kind::Posted(wire::Posted {
            body: body.as_str().to_owned(),
            mentions: mentions_to_wire(tags),
            entity: entity_to_wire(tags),
        }),
        EventKind::TeamCreated { name, owner } => {
            Kind::TeamCreated(wire::TeamCreated { name: name.as_str().to_owned(), owner: owner.to_string() })
        }
        EventKind::TeamRenamed { name } => Kind::TeamRenamed(wire::TeamRenamed { name: name.as_str().to_owned() }),
        EventKind::TeamArchived => Kind::TeamArchived(wire::TeamArchived {}),
        EventKind::MemberAdded { user, role: added, name } => Kind::MemberAdded(wire::MemberAdded {
            user: user.to_string(),
            role: role(*added),
            name: name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        }),
        EventKind::MemberRemoved { user } => Kind::MemberRemoved(wire::MemberRemoved { user: user.to_string() }),
        EventKind::MemberRoleChanged { user, role: new } => {
            Kind::MemberRoleChanged(wire::MemberRoleChanged { user: user.to_string(), role: role(*new) })
        }
    }
}

fn kind_from_wire(kind: wire::event::Kind) -> Result<EventKind, EventError> {
    use wire::event::Kind;
    Ok(match kind {
        Kind::Posted(posted) => EventKind::Posted {
            body: Body::parse(&posted.body)?,
            tags: tags_from_wire(&posted.mentions, posted.entity.as_ref())?,
        },
        Kind::TeamCreated(created) => {
            EventKind::TeamCreated { name: Name::parse(&created.name)?, owner: user("owner", &created.owner)? }
        }
        Kind::TeamRenamed(renamed) => EventKind::TeamRenamed { name: Name::parse(&renamed.name)? },
        Kind::TeamArchived(_) => EventKind::TeamArchived,
        Kind::MemberAdded(added) => EventKind::MemberAdded {
            user: user("user", &added.user)?,
            role: role(added.role)?,
            name: if added.name.is_empty() { None } else { Some(Name::parse(&added.name)?) },
        },
        Kind::MemberRemoved(removed) => EventKind::MemberRemoved { user: user("user", &removed.user)? },
        Kind::MemberRoleChanged(changed) => {
            EventKind::MemberRoleChanged { user: user("user", &changed.user)?, role: role(changed.role)? }
        }
    })
}
