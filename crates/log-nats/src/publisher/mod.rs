//! The way of events into one partition: a bounded queue and one worker that appends what has gathered while its last
//! append was in flight. One append at a time keeps every sender's order, whatever is retried.

mod append;
mod recent;
mod reply;
mod slot;
mod worker;

use std::{hash::RandomState, sync::Arc};

use async_nats::HeaderValue;
use bytes::Bytes;
use huddle_domain::{NewEvent, Partition};
use huddle_log::{Condition, Pending, PublishError, pending};
use huddle_proto::encode_new_event;
use tokio::{sync::mpsc, time::Instant};

use crate::{connect::Link, retry::Cause, subject};
pub(crate) use reply::Reply;
use slot::{Content, Queued};
use worker::Worker;

/// Events that wait for the worker; further publishes wait to get in.
const QUEUE_EVENTS_MAX: usize = 2_048;
/// Largest encoded event: far above what the domain's limits allow, well below what the stream takes.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// The publishing end of one partition.
#[derive(Debug)]
pub(crate) struct Publisher {
    partition: Partition,
    queue: mpsc::Sender<Queued>,
    hasher: Arc<RandomState>,
}

impl Publisher {
    /// Starts the worker. It ends when the publisher is dropped and the queue is empty.
    pub(crate) fn spawn(link: Arc<Link>, partition: Partition) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE_EVENTS_MAX);
        let hasher = Arc::new(RandomState::new());
        tokio::spawn(Worker::new(link, partition, Arc::clone(&hasher), queued).run());
        Self { partition, queue, hasher }
    }

    /// Queues `event`; see [`huddle_log::Log::publish`].
    pub(crate) async fn publish(&self, event: &NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        let payload = Bytes::from(encode_new_event(event));
        if payload.len() > EVENT_BYTES_MAX {
            return Err(PublishError::Refused {
                reason: format!("an event has at most {EVENT_BYTES_MAX} bytes, this one has {}", payload.len()),
            });
        }
        let key = event.key();
        let Ok(message_id) = subject::message_id(&key).parse::<HeaderValue>() else {
            // Cannot be: ids hold no control characters.
            return Err(PublishError::Refused { reason: "the key is not fit for a header".to_owned() });
        };
        let (resolver, pending) = pending();
        let queued = Queued {
            subject: subject::log(self.partition, &event.team).into(),
            content: Content::of(self.hasher.as_ref(), &payload),
            key,
            message_id,
            payload,
            condition,
            resolver,
            since: Instant::now(),
        };
        match self.queue.send(queued).await {
            Ok(()) => Ok(pending),
            Err(_) => Err(PublishError::Unavailable { source: Box::new(Cause::new("the publisher has stopped")) }),
        }
    }
}
