//! Events to work with.

use huddle_domain::{
    Body, ClientId, Entity, EntityId, EntityKind, Event, EventKind, Name, Partition, Role, Seq, Tags, TeamId,
    UnixMillis, UserId,
};

use crate::{Applied, Batch, BatchItem, PartitionWriter};

pub(super) const P0: Partition = Partition::new(0);
pub(super) const P1: Partition = Partition::new(1);

pub(super) fn team(id: &str) -> TeamId {
    TeamId::parse(id).expect("a sample id is valid")
}

pub(super) fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a sample id is valid")
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).expect("a sample name is valid")
}

pub(super) fn body(text: &str) -> Body {
    Body::parse(text).expect("a sample body is valid")
}

/// An event of `ann` with a client id that follows from its position.
pub(super) fn event(team_id: &str, seq: u64, kind: EventKind) -> Event {
    Event {
        team: team(team_id),
        seq: Seq::new(seq),
        prev_seq: Seq::ZERO,
        time: UnixMillis(1_700_000_000_000 + i64::try_from(seq).expect("a sample position is small")),
        sender: user("ann"),
        client_id: ClientId::parse(&format!("c{seq}")).expect("a sample id is valid"),
        kind,
    }
}

/// A message whose body follows from its position.
pub(super) fn posted(team_id: &str, seq: u64) -> Event {
    event(team_id, seq, EventKind::posted(body(&format!("message {seq}"))))
}

/// The event under another client id.
pub(super) fn under(mut event: Event, client_id: &str) -> Event {
    event.client_id = ClientId::parse(client_id).expect("a sample id is valid");
    event
}

/// The event, from another sender.
pub(super) fn from(mut event: Event, sender: &str) -> Event {
    event.sender = user(sender);
    event
}

/// The message, mentioning these users.
pub(super) fn mentioning(event: Event, users: &[&str]) -> Event {
    tagged(event, users, None)
}

/// The message, mentioning these users and about this thing.
pub(super) fn tagged(mut event: Event, users: &[&str], entity: Option<(&str, &str)>) -> Event {
    let EventKind::Posted { tags, .. } = &mut event.kind else { unreachable!("the sample is a message") };
    let entity = entity.map(|(kind, id)| Entity {
        kind: EntityKind::parse(kind).expect("a sample id is valid"),
        id: EntityId::parse(id).expect("a sample id is valid"),
    });
    *tags = Tags::new(users.iter().map(|id| user(id)), entity).expect("a sample mentions few users");
    event
}

/// The event, some milliseconds later or earlier.
pub(super) fn shifted(mut event: Event, milliseconds: i64) -> Event {
    event.time = UnixMillis(event.time.0 + milliseconds);
    event
}

/// The event with another body.
pub(super) fn saying(mut event: Event, text: &str) -> Event {
    event.kind = EventKind::posted(body(text));
    event
}

pub(super) fn created(team_id: &str, seq: u64, owner: &str) -> Event {
    event(team_id, seq, EventKind::TeamCreated { name: name(&format!("Team {team_id}")), owner: user(owner) })
}

pub(super) fn added(team_id: &str, seq: u64, member: &str, role: Role) -> Event {
    event(team_id, seq, EventKind::MemberAdded { user: user(member), role, name: None })
}

pub(super) fn named(team_id: &str, seq: u64, member: &str, display_name: &str) -> Event {
    let kind = EventKind::MemberAdded { user: user(member), role: Role::Member, name: Some(name(display_name)) };
    event(team_id, seq, kind)
}

/// A batch of these events, up to the last of them.
pub(super) fn batch(events: impl IntoIterator<Item = Event>) -> Batch {
    let items: Vec<BatchItem> = events.into_iter().map(BatchItem::Event).collect();
    let through = items.last().map_or(Seq::ZERO, BatchItem::seq);
    Batch { items, through, ..Batch::default() }
}

/// Applies these events, which the store has no reason to refuse.
pub(super) async fn store_all(
    writer: &mut dyn PartitionWriter,
    events: impl IntoIterator<Item = Event> + Send,
) -> Applied {
    let batch = batch(events);
    let count = batch.items.len();
    let applied = writer.apply(batch).await.expect("the batch is applied");
    assert_eq!((applied.stored, applied.dead_letters.len()), (count, 0), "{:?}", applied.dead_letters);
    applied
}

/// The event as it is read where the one before it is at `prev_seq`.
pub(super) fn after(prev_seq: u64, event: Event) -> Event {
    Event { prev_seq: Seq::new(prev_seq), ..event }
}
