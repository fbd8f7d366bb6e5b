//! A connection's sends: queued so that they keep their order, published in batches, each answered with its outcome.

use std::{rc::Rc, sync::Arc};

use huddle_proto::Refusal;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Connection, ReplyTo, SENDS_IN_FLIGHT_MAX};
use crate::{
    sends::{NewSend, Started},
    worker::Worker,
};

/// Sends that are checked and published in one go.
const SENDS_PER_BATCH: usize = 64;

/// The way of one connection's sends into the log. When it is dropped, what was queued goes on to its end.
pub(crate) struct SendQueue {
    connection: Rc<Connection>,
    queue: mpsc::Sender<QueuedSend>,
}

/// A send on its way.
struct QueuedSend {
    reply_to: ReplyTo,
    send: NewSend,
    /// Held until the reply is in the outbox.
    permit: OwnedSemaphorePermit,
}

impl SendQueue {
    /// Starts the task that publishes the connection's sends in order.
    pub(crate) fn start(worker: Rc<Worker>, connection: Rc<Connection>) -> Self {
        let (queue, mut queued) = mpsc::channel(SENDS_IN_FLIGHT_MAX as usize);
        let sender = Rc::clone(&connection);
        actix_web::rt::spawn(async move {
            let mut batch = Vec::new();
            while queued.recv_many(&mut batch, SENDS_PER_BATCH).await > 0 {
                let mut replies = Vec::with_capacity(batch.len());
                let mut sends = Vec::with_capacity(batch.len());
                for QueuedSend { reply_to, send, permit } in batch.drain(..) {
                    replies.push((reply_to, permit));
                    sends.push(send);
                }
                let started = worker.core.sends.start(sends).await;
                let outcomes: Vec<_> = replies.into_iter().zip(started).collect();
                actix_web::rt::spawn(report(Rc::clone(&worker), Rc::clone(&sender), outcomes));
            }
        });
        Self { connection, queue }
    }

    /// Queues a send. Waits while too many of the connection's sends are under way.
    pub(crate) async fn send(&self, reply_to: ReplyTo, send: NewSend) {
        // Neither the semaphore nor the queue is closed while the connection is served.
        if let Ok(permit) = Arc::clone(&self.connection.sends_in_flight).acquire_owned().await {
            let _ = self.queue.send(QueuedSend { reply_to, send, permit }).await;
        }
    }
}

async fn report(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    outcomes: Vec<((ReplyTo, OwnedSemaphorePermit), Result<Started, Refusal>)>,
) {
    for ((reply_to, permit), started) in outcomes {
        let outcome = match started {
            Ok(started) => worker.core.sends.finish(started).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(accepted) => connection.accepted(&worker, reply_to, &accepted),
            Err(refusal) => connection.refuse(reply_to, refusal),
        }
        drop(permit);
    }
}
