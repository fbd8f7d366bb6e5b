//! The one task that appends to a partition.

use std::{collections::VecDeque, hash::RandomState, sync::Arc, time::Duration};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use huddle_domain::{NewEvent, Partition, SendKey, Seq};
use huddle_log::Condition;
use huddle_proto::{decode_new_event, encode_new_event};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    append::{Appended, Appender},
    recent::Recent,
    slot::{Batch, Content, Outcome, Queued, Slot},
};
use crate::{
    connect::Link,
    floor::{self, End},
    retry::{Cause, Limits, Miss, until_answered_for},
    subject,
};

/// Events in one batch; the server takes up to 1,000.
const BATCH_EVENTS_MAX: usize = 500;
/// Payload bytes in one batch; the event that crosses the bound still goes along.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// A refused batch of up to so many events is appended one by one instead of in halves: a refusal costs the server as
/// much as several plain publishes (measured on one node: 3 ms against 0.5 ms).
const ONE_BY_ONE_MAX: usize = 16;
/// How long an event is tried, from when it was queued: longer than a leader election, far below the window in which
/// the server knows its key.
const APPEND_PATIENCE: Duration = Duration::from_secs(15);
/// How long a question about an event that is there already is repeated.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

pub(super) struct Worker {
    link: Arc<Link>,
    partition: Partition,
    hasher: Arc<RandomState>,
    queued: mpsc::Receiver<Queued>,
    appender: Appender,
    recent: Recent,
    connection: watch::Receiver<u64>,
    election: watch::Receiver<u64>,
    /// Whether another server may have answered for the partition since its end was looked at.
    is_suspect: bool,
    /// Whether the partition ended before what is known to be taken when its end was looked at.
    is_unfit: bool,
}

impl Worker {
    pub(super) fn new(
        link: Arc<Link>,
        partition: Partition,
        hasher: Arc<RandomState>,
        queued: mpsc::Receiver<Queued>,
    ) -> Self {
        let appender = Appender::new(Arc::clone(&link), partition);
        let (connection, election) = (link.signals.connection.subscribe(), link.signals.election.subscribe());
        Self {
            link,
            partition,
            hasher,
            queued,
            appender,
            recent: Recent::default(),
            connection,
            election,
            is_suspect: true,
            is_unfit: false,
        }
    }

    /// Appends until nobody can queue any more and the queue is empty.
    pub(super) async fn run(mut self) {
        let mut carried = None;
        loop {
            let next = match carried.take() {
                Some(queued) => queued,
                None => match self.queued.recv().await {
                    Some(queued) => queued,
                    None => return,
                },
            };
            if self.connection.has_changed().unwrap_or(false) {
                self.connection.mark_unchanged();
                self.recent.clear();
                self.is_suspect = true;
            }
            if self.election.has_changed().unwrap_or(false) {
                self.election.mark_unchanged();
                self.is_suspect = true;
            }
            let batch;
            (batch, carried) = self.gather(next);
            self.append(batch.into_slots()).await;
        }
    }

    /// Takes what has gathered, up to the bounds of a batch. What has a condition goes by itself: when the second result
    /// is some, it is the next to be taken.
    fn gather(&mut self, first: Queued) -> (Batch, Option<Queued>) {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(queued) = next {
            if let Some(outcome) = self.recent.get(&queued.key, Instant::now()) {
                queued.resolver.resolve(outcome.for_content(queued.content, true));
            } else if queued.condition == Condition::None {
                batch.add(queued);
            } else if batch.is_empty() {
                batch.add(queued);
                return (batch, None);
            } else {
                return (batch, Some(queued));
            }
            if batch.len() >= BATCH_EVENTS_MAX || batch.bytes() >= BATCH_BYTES_MAX {
                break;
            }
            next = self.queued.try_recv().ok();
        }
        (batch, None)
    }

    /// Appends `slots` in order, in smaller and smaller parts where the server refuses the whole, and tells everybody.
    async fn append(&mut self, slots: Vec<Slot>) {
        let Some(oldest) = slots.first() else { return };
        let deadline = oldest.since + APPEND_PATIENCE;
        if self.is_suspect
            && let Err(cause) = self.look_at_end(deadline).await
        {
            return settle_all(slots, &Outcome::Unavailable(cause));
        }
        let taken = self.link.floors.of(self.partition);
        let mut parts = VecDeque::from([slots]);
        while let Some(mut part) = parts.pop_front() {
            match self.appender.append(&part, deadline).await {
                // The first of them stands at a position that was taken already.
                Appended::Stored { last } if last.get() < taken.get() + part.len() as u64 => {
                    self.is_suspect = true;
                    let outcome = Outcome::Unavailable(floor::cause(End::WentBack { last, taken }));
                    settle_all(part.into_iter().chain(parts.drain(..).flatten()), &outcome);
                }
                Appended::Stored { last } => self.settle_stored(part, last),
                Appended::Divide if part.len() <= ONE_BY_ONE_MAX => {
                    for slot in part.into_iter().rev() {
                        parts.push_front(vec![slot]);
                    }
                }
                Appended::Divide => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Appended::Duplicate { seq } => {
                    for slot in part {
                        let outcome = self.look_at(&slot.key, seq).await;
                        self.settle(slot, &outcome);
                    }
                }
                Appended::NotFirst => {
                    for slot in part {
                        let outcome = self.look_at_first(&slot).await;
                        self.settle(slot, &outcome);
                    }
                }
                Appended::Full => settle_all(part, &Outcome::Full),
                Appended::Refused(reason) => settle_all(part, &Outcome::Refused(reason)),
                Appended::Unavailable(cause) => {
                    tracing::warn!(partition = %self.partition, %cause, "events not appended in time");
                    let outcome = Outcome::Unavailable(cause);
                    // The rest would wait as long for as little.
                    settle_all(part.into_iter().chain(parts.drain(..).flatten()), &outcome);
                }
            }
        }
    }

    /// Makes sure that the partition has not gone back: what is appended to it then would stand where something else was.
    async fn look_at_end(&mut self, deadline: Instant) -> Result<(), Cause> {
        let (partition, began) = (self.partition, Instant::now());
        let patience = if self.is_unfit { Duration::ZERO } else { LOOK_PATIENCE };
        // Some longer than what a new leader is given, so that one that goes on to be behind is told from one that is silent.
        let in_all = (2 * LOOK_PATIENCE).min(deadline.saturating_duration_since(began));
        let limits = Limits { patience: in_all, ..Limits::default() };
        let end = until_answered_for("looking where a partition ends", limits, || async {
            match floor::end(&self.link, partition).await? {
                // A leader that is new may not have found all that it has.
                end @ End::WentBack { .. } if began.elapsed() < patience => Err(Miss::Retry(floor::cause(end))),
                end => Ok(end),
            }
        });
        let Ok(end) = end.await else {
            // What the append is answered will tell.
            return Ok(());
        };
        match end {
            End::AsKnown => {
                self.is_suspect = false;
                if std::mem::take(&mut self.is_unfit) {
                    tracing::info!(%partition, "the partition takes events again");
                }
                Ok(())
            }
            // That is for the append to find out.
            End::Missing => Ok(()),
            end @ End::WentBack { .. } => {
                let cause = floor::cause(end);
                if !std::mem::replace(&mut self.is_unfit, true) {
                    tracing::error!(%partition, %cause, "the partition takes no events");
                }
                Err(cause)
            }
        }
    }

    /// The positions of a batch are contiguous: the server appends it as one.
    fn settle_stored(&mut self, slots: Vec<Slot>, last: Seq) {
        self.link.floors.acknowledged(self.partition, last);
        let count = slots.len() as u64;
        for (seq, slot) in (last.get() + 1 - count..=last.get()).map(Seq::new).zip(slots) {
            let outcome = Outcome::Stored { seq, content: slot.content, duplicate: false };
            self.settle(slot, &outcome);
        }
    }

    fn settle(&mut self, slot: Slot, outcome: &Outcome) {
        if let Outcome::Stored { seq, content, .. } = outcome {
            self.recent.insert(slot.key.clone(), *seq, *content, Instant::now());
        }
        slot.settle(outcome);
    }

    /// What stands at `seq`, where the server says that the event with `key` is.
    async fn look_at(&self, key: &SendKey, seq: Seq) -> Outcome {
        let stored = self.ask(Question::At(seq)).await;
        match stored {
            Ok(Some((seq, event))) => match event {
                Some(event) if event.key() == *key => self.stored(seq, &event),
                _ => Outcome::Refused(format!("the key is taken by something else at position {seq}")),
            },
            Ok(None) => Outcome::Unavailable(Cause::new("the event that has the key is not readable")),
            Err(cause) => Outcome::Unavailable(cause),
        }
    }

    /// Whether the team's first event is `slot`'s own: an earlier attempt has put it there.
    async fn look_at_first(&self, slot: &Slot) -> Outcome {
        let subject = subject::log(self.partition, &slot.key.team);
        let first = self.ask(Question::FirstOf(subject)).await;
        match first {
            Ok(Some((seq, Some(event)))) if event.key() == slot.key => self.stored(seq, &event),
            Ok(_) => Outcome::NotFirst,
            Err(cause) => Outcome::Unavailable(cause),
        }
    }

    fn stored(&self, seq: Seq, event: &NewEvent) -> Outcome {
        let content = Content::of(self.hasher.as_ref(), &encode_new_event(event));
        Outcome::Stored { seq, content, duplicate: true }
    }

    /// Asks the leader for one message: its position and, if it can be read, its event.
    async fn ask(&self, question: Question) -> Result<Option<(Seq, Option<NewEvent>)>, Cause> {
        let limits = Limits { patience: LOOK_PATIENCE, ..Limits::default() };
        let answer = until_answered_for("looking at an event", limits, || async {
            let stream = self
                .link
                .jetstream
                .get_stream_no_info(subject::stream(self.partition))
                .await
                .map_err(|error| Miss::Retry(Cause::of(&error)))?;
            let builder = stream.raw_message_builder();
            let request = match &question {
                Question::At(seq) => builder.sequence(seq.get()),
                Question::FirstOf(subject) => builder.sequence(1).next_by_subject(subject),
            };
            match request.send().await {
                Ok(message) => Ok(Some((Seq::new(message.sequence), decode_new_event(&message.payload).ok()))),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(Miss::Retry(Cause::of(&error))),
            }
        });
        answer.await.map_err(|error| Cause::of(&error))
    }
}

fn settle_all(slots: impl IntoIterator<Item = Slot>, outcome: &Outcome) {
    for slot in slots {
        slot.settle(outcome);
    }
}

/// Which message.
enum Question {
    At(Seq),
    /// The first of a subject.
    FirstOf(String),
}
