//! Events to append.

use huddle_domain::{Body, ClientId, EventKind, NewEvent, TeamId, UserId};
use huddle_log::{Condition, Log, PublishError, Published};

/// Message number `number` of ann, some hundred bytes long.
pub(crate) fn numbered(team: &str, number: usize) -> NewEvent {
    NewEvent {
        team: TeamId::parse(team).unwrap(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&format!("n{number}")).unwrap(),
        kind: EventKind::posted(Body::parse(&format!("message {number} {}", "x".repeat(200))).unwrap()),
    }
}

pub(crate) async fn publish(log: &dyn Log, event: NewEvent) -> Result<Published, PublishError> {
    log.publish(event, Condition::None).await?.await
}
