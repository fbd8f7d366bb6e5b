//! Events on their way, those who wait for them, and how it can end.

use std::{collections::HashMap, hash::BuildHasher};

use async_nats::{HeaderValue, Subject};
use bytes::Bytes;
use huddle_domain::{SendKey, Seq};
use huddle_log::{Condition, PublishError, Published, Resolver};
use tokio::time::Instant;

use crate::retry::Cause;

/// A publish as it stands in the queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) key: SendKey,
    pub(super) content: Content,
    pub(super) subject: Subject,
    pub(super) message_id: HeaderValue,
    pub(super) payload: Bytes,
    pub(super) condition: Condition,
    pub(super) resolver: Resolver,
    pub(super) since: Instant,
}

/// Stands for an event's content, so that a retry is told from another event under the same key. Keyed at random for each
/// process: nobody outside can make two contents look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    hash: u64,
    length: usize,
}

impl Content {
    pub(super) fn of(hasher: &impl BuildHasher, payload: &[u8]) -> Self {
        Self { hash: hasher.hash_one(payload), length: payload.len() }
    }
}

/// One event to append, and everybody who waits for its key: a repeat that comes while the first is on its way waits with
/// it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: SendKey,
    pub(super) content: Content,
    pub(super) subject: Subject,
    pub(super) message_id: HeaderValue,
    pub(super) payload: Bytes,
    pub(super) condition: Condition,
    pub(super) since: Instant,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    content: Content,
    resolver: Resolver,
}

/// How an append has ended.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The log holds an event under the key.
    Stored {
        seq: Seq,
        content: Content,
        /// It was there already.
        duplicate: bool,
    },
    NotFirst,
    Full,
    Refused(String),
    /// Not known.
    Unavailable(Cause),
}

impl From<Queued> for Slot {
    fn from(queued: Queued) -> Self {
        let Queued { key, content, subject, message_id, payload, condition, resolver, since } = queued;
        Self {
            key,
            content,
            subject,
            message_id,
            payload,
            condition,
            since,
            waiters: vec![Waiter { content, resolver }],
        }
    }
}

impl Slot {
    /// Tells everybody who waits.
    pub(super) fn settle(self, outcome: &Outcome) {
        for (place, waiter) in self.waiters.into_iter().enumerate() {
            waiter.resolver.resolve(outcome.for_content(waiter.content, place > 0));
        }
    }
}

impl Outcome {
    /// What this means to a publish of `content`; `repeat` when it was not the first under its key.
    pub(super) fn for_content(&self, content: Content, repeat: bool) -> Result<Published, PublishError> {
        match self {
            Self::Stored { seq, content: stored, duplicate } if *stored == content => {
                Ok(Published { seq: *seq, duplicate: *duplicate || repeat })
            }
            Self::Stored { seq, .. } => Err(PublishError::Conflict { seq: *seq }),
            Self::NotFirst => Err(PublishError::NotFirst),
            Self::Full => Err(PublishError::Full),
            Self::Refused(reason) => Err(PublishError::Refused { reason: reason.clone() }),
            Self::Unavailable(cause) => Err(PublishError::Unavailable { source: Box::new(cause.clone()) }),
        }
    }
}

/// What is appended together, in the order in which it was queued. No key stands in it twice.
#[derive(Debug, Default)]
pub(super) struct Batch {
    slots: Vec<Slot>,
    places: HashMap<SendKey, usize>,
    bytes: usize,
}

impl Batch {
    pub(super) fn add(&mut self, queued: Queued) {
        if let Some(&place) = self.places.get(&queued.key) {
            self.slots[place].waiters.push(Waiter { content: queued.content, resolver: queued.resolver });
            return;
        }
        self.places.insert(queued.key.clone(), self.slots.len());
        self.bytes += queued.payload.len();
        self.slots.push(queued.into());
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the payloads.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_slots(self) -> Vec<Slot> {
        self.slots
    }
}
