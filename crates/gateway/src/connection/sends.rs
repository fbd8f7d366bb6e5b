//! `send`: queues a connection's sends so that they keep their order, and reports both receipts.

use std::rc::Rc;
use std::sync::Arc;

use huddle_domain::{Body, Tags, UserId};
use huddle_proto::{
    EventError, Refusal,
    event::v1::Entity,
    gateway::v1::{self as wire, ErrorCode, server_frame::Content},
    tags_from_wire,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    Connection, SENDS_IN_FLIGHT_MAX,
    serve::{parse_client_id, parse_team},
};
use crate::{
    sends::{NewSend, Started},
    worker::{Worker, promise},
};

/// Sends that are checked and published in one go.
const SENDS_PER_BATCH: usize = 64;

/// A send on its way.
pub(super) struct QueuedSend {
    id: String,
    send: NewSend,
    /// Held until the reply is in the outbox.
    permit: OwnedSemaphorePermit,
}

/// Starts the task that publishes a connection's sends in order. It ends when the returned sender is dropped and what
/// was queued is published.
pub(super) fn start(worker: Rc<Worker>, connection: Rc<Connection>, user: UserId) -> mpsc::Sender<QueuedSend> {
    let (sender, mut queue) = mpsc::channel(SENDS_IN_FLIGHT_MAX as usize);
    actix_web::rt::spawn(async move {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, SENDS_PER_BATCH).await > 0 {
            let mut replies = Vec::with_capacity(batch.len());
            let mut sends = Vec::with_capacity(batch.len());
            for QueuedSend { id, send, permit } in batch.drain(..) {
                replies.push((id, permit));
                sends.push(send);
            }
            let started = worker.core.sends.start(&user, sends).await;
            let outcomes: Vec<_> = replies.into_iter().zip(started).collect();
            actix_web::rt::spawn(report(Rc::clone(&worker), Rc::clone(&connection), outcomes));
        }
    });
    sender
}

/// Checks a send and queues it. Waits while too many of the connection's sends are under way.
pub(super) async fn send(queue: &mpsc::Sender<QueuedSend>, connection: &Connection, id: String, request: wire::Send) {
    let send = match parse(&request) {
        Ok(send) => send,
        Err(refusal) => return connection.refuse(id, refusal),
    };
    // Neither the semaphore nor the queue is closed while the connection is served.
    if let Ok(permit) = Arc::clone(&connection.sends_in_flight).acquire_owned().await {
        let _ = queue.send(QueuedSend { id, send, permit }).await;
    }
}

fn parse(request: &wire::Send) -> Result<NewSend, Refusal> {
    Ok(NewSend {
        team: parse_team(&request.team)?,
        client_id: parse_client_id(&request.client_id)?,
        body: parse_body(&request.body)?,
        tags: parse_tags(&request.mentions, request.entity.as_ref())?,
    })
}

/// The body of a request, or why it is none, on every protocol alike.
pub(crate) fn parse_body(text: &str) -> Result<Body, Refusal> {
    Body::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidBody, error.to_string()))
}

/// The tags of a request, or why they are none, on every protocol alike.
pub(crate) fn parse_tags(mentions: &[String], entity: Option<&Entity>) -> Result<Tags, Refusal> {
    tags_from_wire(mentions, entity).map_err(|error| {
        let code = match error {
            EventError::Id { .. } => ErrorCode::InvalidId,
            _ => ErrorCode::InvalidArgument,
        };
        Refusal::new(code, error.to_string())
    })
}

async fn report(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    outcomes: Vec<((String, OwnedSemaphorePermit), Result<Started, Refusal>)>,
) {
    for ((id, permit), started) in outcomes {
        let outcome = match started {
            Ok(started) => worker.core.sends.finish(started).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(accepted) => {
                connection.reply(
                    id,
                    Content::Accepted(wire::Accepted {
                        team: accepted.team.to_string(),
                        seq: accepted.seq.get(),
                        client_id: accepted.client_id.to_string(),
                        duplicate: accepted.duplicate,
                    }),
                );
                promise(&worker, &connection, &accepted.team, accepted.seq);
            }
            Err(refusal) => connection.refuse(id, refusal),
        }
        drop(permit);
    }
}
