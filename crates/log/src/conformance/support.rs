//! What the tests share: events to publish, and bounded waits for what comes back.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use huddle_domain::{
    Body, ClientId, Entity, EntityId, EntityKind, Event, EventKind, NewEvent, Partition, Partitions, Seq, Tags, TeamId,
    UserId,
};
use tokio::time::timeout;

use super::Fixture;
use crate::{Condition, Entry, EntryContent, LiveFeed, LiveItem, Log, PublishError, Published, Reader};

/// No wait of a test is longer; what a restarted or newly elected log needs is well within it.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

pub(super) fn partitions(count: u16) -> Partitions {
    Partitions::new(count).unwrap()
}

/// A started log, prepared with nothing stored, and one handle.
pub(super) async fn prepared<F: Fixture>(count: u16) -> (F, Arc<dyn Log>) {
    let fixture = F::start(partitions(count)).await;
    let log = fixture.handle().await;
    for partition in log.partitions().iter() {
        within("prepare", log.prepare(partition, Seq::ZERO)).await.unwrap();
    }
    (fixture, log)
}

pub(super) fn team(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

pub(super) fn post(team: &TeamId, sender: &str, client_id: &str, body: &str) -> NewEvent {
    NewEvent {
        team: team.clone(),
        sender: UserId::parse(sender).unwrap(),
        client_id: ClientId::parse(client_id).unwrap(),
        kind: EventKind::posted(Body::parse(body).unwrap()),
    }
}

/// The message, mentioning `users` and about the issue `entity`.
pub(super) fn tagged(event: NewEvent, users: &[&str], entity: Option<&str>) -> NewEvent {
    let EventKind::Posted { body, .. } = event.kind else { unreachable!("it is a message") };
    let issue = |id| Entity { kind: EntityKind::parse("issue").unwrap(), id: EntityId::parse(id).unwrap() };
    let tags = Tags::new(users.iter().map(|id| UserId::parse(id).unwrap()), entity.map(issue)).unwrap();
    NewEvent { kind: EventKind::Posted { body, tags }, ..event }
}

/// Message number `number` of ann.
pub(super) fn numbered(team: &TeamId, number: usize) -> NewEvent {
    post(team, "ann", &format!("n{number}"), &format!("message {number}"))
}

pub(super) async fn publish(log: &dyn Log, event: NewEvent) -> Result<Published, PublishError> {
    within("publish", async { log.publish(event, Condition::None).await?.await }).await
}

pub(super) async fn publish_first(log: &dyn Log, event: NewEvent) -> Result<Published, PublishError> {
    within("publish", async { log.publish(event, Condition::FirstOfTeam).await?.await }).await
}

/// Publishes until it is settled.
pub(super) async fn publish_until_settled(log: &dyn Log, event: NewEvent) -> Result<Published, PublishError> {
    within("a settled publish", async {
        loop {
            match publish(log, event.clone()).await {
                Err(PublishError::Unavailable { .. }) => {}
                settled => return settled,
            }
        }
    })
    .await
}

/// The next item of a feed.
pub(super) async fn next_item(feed: &mut LiveFeed) -> LiveItem {
    within("an item of a live feed", feed.next()).await.unwrap()
}

/// The next event of a feed that has no reason to be interrupted, or repeats what it may have missed.
pub(super) async fn next_event(feed: &mut LiveFeed) -> Arc<Event> {
    loop {
        if let LiveItem::Event(event) = next_item(feed).await {
            return event;
        }
    }
}

pub(super) async fn next_entry(reader: &mut Reader) -> Entry {
    within("an entry", reader.next()).await.unwrap().unwrap()
}

/// The entries of a partition after `after` up to `last`, which is one of them.
pub(super) async fn entries_up_to(log: &dyn Log, partition: Partition, after: Seq, last: Seq) -> Vec<(Seq, NewEvent)> {
    let mut reader = log.read(partition, after).await.unwrap();
    let mut entries = Vec::new();
    loop {
        let entry = next_entry(&mut reader).await;
        let seq = entry.seq;
        assert!(seq <= last, "{seq} beyond {last}");
        entries.push((seq, event_of(entry)));
        if seq == last {
            return entries;
        }
    }
}

pub(super) fn event_of(entry: Entry) -> NewEvent {
    match entry.content {
        EntryContent::Event(event) => event,
        EntryContent::Undecodable { reason, .. } => panic!("undecodable at {}: {reason}", entry.seq),
    }
}
