//! One append: a plain publish or an atomic batch, repeated under the same keys while its outcome is in doubt.

use std::sync::Arc;

use async_nats::{
    HeaderMap, HeaderValue, Message, Request, RequestError, RequestErrorKind,
    connection::State,
    header::{
        NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
        NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID,
    },
};
use huddle_domain::{Partition, Seq};
use huddle_log::{Condition, LogError};
use tokio::time::{Instant, sleep, timeout};

use super::{
    reply::{Refusal, Reply, judge},
    slot::Slot,
};
use crate::{
    connect::Link,
    retry::{Cause, REQUEST_TIMEOUT, pause},
    stream,
};

/// How a series of attempts has ended.
#[derive(Debug)]
pub(super) enum Appended {
    /// Stored at the positions up to `last`, one after the other.
    Stored {
        last: Seq,
    },
    /// The one event was stored before, at `seq`.
    Duplicate {
        seq: Seq,
    },
    /// The same in smaller parts.
    Divide,
    NotFirst,
    Full,
    Refused(String),
    /// Nobody knows.
    Unavailable(Cause),
}

/// Why one attempt gives no result.
struct Failure {
    cause: Cause,
    /// Whether the server may have stored the events all the same.
    in_doubt: bool,
    no_responders: bool,
}

/// Appends to one partition.
#[derive(Debug)]
pub(super) struct Appender {
    link: Arc<Link>,
    partition: Partition,
}

impl Appender {
    pub(super) const fn new(link: Arc<Link>, partition: Partition) -> Self {
        Self { link, partition }
    }

    /// Appends `slots`, all or none. Attempts begin until `deadline`, and at least one is made.
    pub(super) async fn append(&self, slots: &[Slot], deadline: Instant) -> Appended {
        let mut in_doubt = false;
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(slots).await {
                Ok(Reply::Ack { last, duplicate: true, .. }) => return Appended::Duplicate { seq: last },
                // A batch's positions follow from its last one only when the server took it as a batch.
                Ok(Reply::Ack { last, count, .. }) if slots.len() == 1 || count == Some(slots.len() as u64) => {
                    return Appended::Stored { last };
                }
                Ok(Reply::Ack { .. } | Reply::Unreadable) => {
                    Failure { cause: Cause::new("unreadable reply"), in_doubt: true, no_responders: false }
                }
                Ok(Reply::Error { code, err_code, description }) => {
                    match judge(code, err_code, &description, slots.len() > 1) {
                        Refusal::Divide => return Appended::Divide,
                        Refusal::NotFirst => return Appended::NotFirst,
                        Refusal::Never(reason) => return Appended::Refused(reason),
                        // An earlier attempt may have found room.
                        Refusal::Full if in_doubt => {
                            return Appended::Unavailable(Cause::new("the log is full"));
                        }
                        Refusal::Full => return Appended::Full,
                        Refusal::Again(cause) => Failure { cause, in_doubt: false, no_responders: false },
                    }
                }
                Err(failure) => failure,
            };
            in_doubt |= failure.in_doubt;
            if failure.no_responders && matches!(stream::find(&self.link, self.partition).await, Ok(None)) {
                let missing = LogError::Missing { partition: self.partition };
                return Appended::Unavailable(Cause::of(&missing));
            }
            let pause = pause(attempt);
            if Instant::now() + pause >= deadline {
                return Appended::Unavailable(failure.cause);
            }
            tracing::debug!(partition = %self.partition, cause = %failure.cause, attempt, "append repeated");
            attempt += 1;
            sleep(pause).await;
        }
    }

    /// Sends once and waits for the reply, until the connection is lost, another leader is elected, or the time is up.
    async fn attempt(&self, slots: &[Slot]) -> Result<Reply, Failure> {
        let mut connection = self.link.signals.connection.subscribe();
        let mut election = self.link.signals.election.subscribe();
        // What is sent now would wait in the client, and reach the server long after it was given up.
        if self.link.client.connection_state() != State::Connected {
            return Err(Failure { cause: Cause::new("not connected"), in_doubt: false, no_responders: false });
        }
        let in_doubt = |cause| Failure { cause, in_doubt: true, no_responders: false };
        tokio::select! {
            reply = timeout(REQUEST_TIMEOUT, self.send(slots)) => match reply {
                Ok(Ok(message)) => Ok(Reply::parse(&message.payload)),
                Ok(Err(failure)) => Err(failure),
                Err(elapsed) => Err(in_doubt(Cause::of(&elapsed))),
            },
            _ = connection.changed() => Err(in_doubt(Cause::new("the connection was lost"))),
            // The one before died with what it was sent, or knows no more of who waits for it.
            _ = election.changed() => Err(in_doubt(Cause::new("another leader was elected"))),
        }
    }

    async fn send(&self, slots: &[Slot]) -> Result<Message, Failure> {
        let Some((last, before)) = slots.split_last() else {
            return Err(Failure { cause: Cause::new("nothing to append"), in_doubt: false, no_responders: false });
        };
        let mut headers = HeaderMap::new();
        if before.is_empty() {
            if last.condition == Condition::FirstOfTeam {
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(0_u64));
            }
        } else {
            let batch_id: HeaderValue = batch_id();
            for (place, slot) in before.iter().enumerate() {
                let headers = batch_headers(&batch_id, place, slot);
                self.link
                    .client
                    .publish_with_headers(slot.subject.clone(), headers, slot.payload.clone())
                    .await
                    .map_err(|error| Failure { cause: Cause::of(&error), in_doubt: false, no_responders: false })?;
            }
            headers = batch_headers(&batch_id, before.len(), last);
            headers.insert(NATS_BATCH_COMMIT, value(NATS_BATCH_COMMIT_FINAL));
        }
        headers.insert(NATS_MESSAGE_ID, last.message_id.clone());
        let request = Request::new()
            .headers(headers)
            .payload(last.payload.clone())
            // The whole attempt is timed by the caller.
            .timeout(None);
        self.link.client.send_request(last.subject.clone(), request).await.map_err(|error| failure(&error))
    }
}

fn failure(error: &RequestError) -> Failure {
    let no_responders = error.kind() == RequestErrorKind::NoResponders;
    let in_doubt = match error.kind() {
        RequestErrorKind::NoResponders | RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            false
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => true,
    };
    Failure { cause: Cause::of(error), in_doubt, no_responders }
}

fn batch_headers(batch_id: &HeaderValue, place: usize, slot: &Slot) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_BATCH_ID, batch_id.clone());
    headers.insert(NATS_BATCH_SEQUENCE, HeaderValue::from(place + 1));
    headers.insert(NATS_MESSAGE_ID, slot.message_id.clone());
    headers
}

/// New for every attempt: what is left of an earlier one must not mix with it.
fn batch_id() -> HeaderValue {
    value(&format!("{:032x}", rand::random::<u128>()))
}

/// A header's value of characters that are known to be harmless.
fn value(text: &str) -> HeaderValue {
    text.parse().unwrap_or_default()
}
