//! Keeps account of a batch within its transaction: what was stored, what became a dead letter, who was named.

use std::collections::BTreeMap;

use huddle_domain::{Event, EventKind, Name, NewEvent, Seq, UserId};

use super::Insertion;
use crate::{Batch, BatchItem, DeadLetter, DeadLetterReason};

/// Whether `batch` keeps its promise: items ascend, up to its end, and gaps lie below it.
pub fn is_in_order(batch: &Batch) -> bool {
    let ascends = batch.items.is_sorted_by(|a, b| a.seq() < b.seq());
    let gaps_are_gaps = batch.gaps.iter().all(|gap| gap.after.next() < gap.before && gap.before <= batch.through);
    ascends && gaps_are_gaps && batch.items.last().is_none_or(|item| item.seq() <= batch.through)
}

/// The newest name of each user, with the time in milliseconds since 1970 at which it was given, by user id.
pub type Names<'a> = BTreeMap<&'a UserId, (&'a Name, i64)>;

/// The account of one batch.
#[derive(Debug)]
pub struct Tally<'a> {
    encode: fn(&NewEvent) -> Vec<u8>,
    stored: usize,
    names: Names<'a>,
    dead_letters: Vec<DeadLetter>,
}

impl<'a> Tally<'a> {
    /// An account with nothing in it; `encode` makes the payload of an event's dead letter, as it stands in the log.
    pub fn new(encode: fn(&NewEvent) -> Vec<u8>) -> Self {
        Self { encode, stored: 0, names: Names::new(), dead_letters: Vec::new() }
    }

    /// An account of `items`, and the events among them: those that are no events are dead letters.
    pub fn of(items: &'a [BatchItem], encode: fn(&NewEvent) -> Vec<u8>) -> (Self, Vec<&'a Event>) {
        let mut tally = Self::new(encode);
        let mut events = Vec::with_capacity(items.len());
        for item in items {
            match item {
                BatchItem::Event(event) => events.push(event),
                BatchItem::DeadLetter(letter) => tally.dead_letters.push(letter.clone()),
            }
        }
        (tally, events)
    }

    /// Takes down what became of `event`. Events come in the log's order.
    pub fn add(&mut self, event: &'a Event, insertion: Insertion) {
        match insertion {
            Insertion::Stored => self.add_stored(event),
            Insertion::StoredBefore => {}
            Insertion::Refused { reason, detail } => self.add_refused(event, reason, detail),
        }
    }

    /// Takes down that `event` was stored. Events come in the log's order.
    pub fn add_stored(&mut self, event: &'a Event) {
        self.stored += 1;
        if let EventKind::MemberAdded { user, name: Some(name), .. } = &event.kind {
            let time = event.time.0;
            if self.names.get(user).is_none_or(|(_, named)| *named <= time) {
                self.names.insert(user, (name, time));
            }
        }
    }

    /// Takes down that `event` is a dead letter; `detail` holds nothing of its content.
    pub fn add_refused(&mut self, event: &Event, reason: DeadLetterReason, detail: String) {
        let Event { team, sender, client_id, kind, seq, time, .. } = event.clone();
        let event = NewEvent { team, sender, client_id, kind };
        let payload = (self.encode)(&event);
        self.dead_letters.push(DeadLetter { seq, time, team: Some(event.team), reason, detail, payload });
    }

    /// How many events were stored.
    pub fn stored(&self) -> usize {
        self.stored
    }

    /// The names that stored events gave to users.
    pub fn names(&self) -> &Names<'a> {
        &self.names
    }

    /// What became no row, ascending.
    pub fn dead_letters(&mut self) -> &[DeadLetter] {
        self.dead_letters.sort_by_key(|letter| letter.seq);
        &self.dead_letters
    }

    /// What became no row and why, ascending.
    pub fn conflicts(&mut self) -> Vec<(Seq, DeadLetterReason)> {
        self.dead_letters().iter().map(|letter| (letter.seq, letter.reason)).collect()
    }
}
