//! Replies on their way out, and how they are read where they arrive.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, header::HeaderValue};
use bytes::Bytes;
use huddle_bus::BusError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{compact, losses::Counters, unavailable};

/// Replies that wait to be sent, at most.
const REPLIES_MAX: usize = 16_384;
/// Bytes of them, at most.
const REPLIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Says what came of a request that gets no reply; a reply has no header.
const HEADER: &str = "Huddle-Bus";
const FULL: &str = "full";
const GONE: &str = "gone";
const NONE: &str = "none";

/// What a request is answered with.
pub(super) enum Answer {
    Reply(Bytes),
    /// The peer let go of it.
    None,
    /// The peer has too much to do.
    Full,
    /// Nobody serves the peer any more.
    Gone,
}

struct Outgoing {
    subject: Subject,
    payload: Bytes,
    outcome: Option<&'static str>,
    /// Given back when the client has taken the reply.
    _room: OwnedSemaphorePermit,
}

/// The way out for replies.
#[derive(Clone)]
pub(super) struct ReplySender {
    queue: mpsc::Sender<Outgoing>,
    /// One permit for each byte.
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl ReplySender {
    /// Sends what is queued, one after the other, until `closed`.
    pub(super) fn spawn(client: Client, counters: Arc<Counters>, closed: CancellationToken) -> Self {
        let (queue, replies) = mpsc::channel(REPLIES_MAX);
        let room = Arc::new(Semaphore::new(REPLIES_BYTES_MAX));
        tokio::spawn({
            let counters = Arc::clone(&counters);
            async move {
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = send_all(replies, &client, &counters) => {}
                }
            }
        });
        Self { queue, room, counters }
    }

    /// Queues an answer; one for which there is no room is counted and lost.
    pub(super) fn send(&self, subject: Subject, answer: Answer) {
        let (payload, outcome) = match answer {
            Answer::Reply(payload) => (payload, None),
            Answer::None => (Bytes::new(), Some(NONE)),
            Answer::Full => (Bytes::new(), Some(FULL)),
            Answer::Gone => (Bytes::new(), Some(GONE)),
        };
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let queued = Arc::clone(&self.room)
            .try_acquire_many_owned(bytes)
            .is_ok_and(|room| self.queue.try_send(Outgoing { subject, payload, outcome, _room: room }).is_ok());
        if !queued {
            self.counters.lose_reply();
        }
    }
}

async fn send_all(mut replies: mpsc::Receiver<Outgoing>, client: &Client, counters: &Counters) {
    while let Some(Outgoing { subject, payload, outcome, _room }) = replies.recv().await {
        let sent = match outcome {
            None => client.publish(subject, payload).await,
            Some(outcome) => {
                let mut headers = HeaderMap::new();
                headers.insert(HEADER, HeaderValue::from(outcome));
                client.publish_with_headers(subject, headers, payload).await
            }
        };
        if sent.is_err() {
            counters.lose_reply();
        }
    }
}

/// The reply in `message`, or what came of the request.
pub(super) fn read(message: Message) -> Result<Bytes, BusError> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(BusError::NoPeer);
    }
    match message.headers.as_ref().and_then(|headers| headers.get(HEADER)).map(HeaderValue::as_str) {
        None => Ok(compact(message.payload)),
        Some(GONE) => Err(BusError::NoPeer),
        Some(FULL) => Err(unavailable("the peer has too many requests waiting")),
        Some(_) => Err(BusError::NoAnswer),
    }
}
