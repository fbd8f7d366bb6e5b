//! Every send by its key: its attempts, and what became of each.

use std::collections::HashMap;

use super::Teams;
use crate::recording::Name;

/// What a send is known by, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) team: Name,
    pub(crate) sender: Name,
    pub(crate) client_id: Name,
}

/// Who tries, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) client: Name,
    pub(crate) connection: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// No answer, or none yet.
    Unknown,
    Accepted {
        seq: u64,
        duplicate: bool,
        line: usize,
    },
    Refused {
        retryable: bool,
    },
}

/// One try to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) over: Over,
    /// The line that says so and what was sent; `None` when only the answer is recorded.
    pub(crate) sent: Option<(usize, Name)>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) key: Key,
    /// In the order of the lines.
    pub(crate) attempts: Vec<Attempt>,
}

/// All sends, in the order of their first lines.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    sends: Vec<Send>,
    by_key: HashMap<Key, usize>,
}

impl Sends {
    pub(crate) fn get(&self, key: Key) -> Option<&Send> {
        self.by_key.get(&key).map(|index| &self.sends[*index])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Send> {
        self.sends.iter()
    }

    fn send(&mut self, key: Key) -> &mut Send {
        let index = *self.by_key.entry(key).or_insert_with(|| {
            self.sends.push(Send { key, attempts: Vec::new() });
            self.sends.len() - 1
        });
        &mut self.sends[index]
    }

    pub(super) fn sent(&mut self, key: Key, over: Over, line: usize, digest: Name) {
        self.send(key).attempts.push(Attempt { over, sent: Some((line, digest)), outcome: Outcome::Unknown });
    }

    /// Gives an answer to the attempt that it belongs to: one of the client's without an answer, on that connection if
    /// there is one there. Where several wait under one key, an acceptance is of the first one with the content that
    /// history has, and a refusal of the last one.
    pub(super) fn answered(&mut self, key: Key, over: Over, outcome: Outcome, teams: &Teams<'_>) {
        let stored = teams.get(key.team).and_then(|team| {
            let row = match outcome {
                Outcome::Accepted { seq, .. } => team.row(seq),
                Outcome::Unknown | Outcome::Refused { .. } => None,
            };
            row.and_then(|row| row.event.digest)
        });
        let send = self.send(key);
        let is_accepted = matches!(outcome, Outcome::Accepted { .. });
        let fits = |attempt: &Attempt| {
            let has_stored = attempt.sent.is_some_and(|(_, digest)| Some(digest) == stored);
            is_accepted && (has_stored || stored.is_none())
        };
        let waits = |attempt: &Attempt| {
            attempt.over.client == over.client && matches!(attempt.outcome, Outcome::Unknown) && attempt.sent.is_some()
        };
        let here = |attempt: &Attempt| waits(attempt) && attempt.over == over;
        let attempts = &mut send.attempts;
        let index = attempts
            .iter()
            .position(|attempt| here(attempt) && fits(attempt))
            .or_else(|| if is_accepted { attempts.iter().position(here) } else { attempts.iter().rposition(here) })
            .or_else(|| attempts.iter().position(waits));
        match index {
            Some(index) => attempts[index].outcome = outcome,
            None => attempts.push(Attempt { over, sent: None, outcome }),
        }
    }
}

impl Send {
    /// The attempts whose beginning is on record: line and digest.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, Name)> {
        self.attempts.iter().filter_map(|attempt| attempt.sent)
    }

    /// The first receipts, in the order of the attempts: position, whether it says duplicate, line, attempt.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (u64, bool, usize, &Attempt)> {
        self.attempts.iter().filter_map(|attempt| match attempt.outcome {
            Outcome::Accepted { seq, duplicate, line } => Some((seq, duplicate, line, attempt)),
            Outcome::Unknown | Outcome::Refused { .. } => None,
        })
    }
}
