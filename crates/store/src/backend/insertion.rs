//! What becomes of an event that is offered to a table, and what is in the way of one that is not inserted.

use std::collections::{BTreeMap, HashMap, HashSet};

use huddle_domain::{Event, EventKind, SendKey, Seq, TeamId};

use super::{EventColumns, to_bigint};
use crate::{DeadLetterReason, StoreError};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insertion {
    /// It is a new row.
    Stored,
    /// The very same event has been a row already.
    StoredBefore,
    /// It is no row.
    Refused {
        /// Why.
        reason: DeadLetterReason,
        /// The reason in words, which hold nothing of the content.
        detail: String,
    },
}

/// The rows that an insertion has made. Positions alone do not tell them apart: teams of different partitions share
/// them.
#[derive(Debug, Default)]
pub struct NewRows(HashMap<String, HashSet<i64>>);

impl NewRows {
    /// Whether `event` is one of them.
    pub fn contains(&self, event: &Event) -> bool {
        self.0.get(event.team.as_str()).is_some_and(|seqs| seqs.contains(&to_bigint(event.seq)))
    }
}

/// From each row's `team_id` and `seq`.
impl FromIterator<(String, i64)> for NewRows {
    fn from_iter<T: IntoIterator<Item = (String, i64)>>(rows: T) -> Self {
        let mut teams: HashMap<String, HashSet<i64>> = HashMap::new();
        for (team, seq) in rows {
            teams.entry(team).or_default().insert(seq);
        }
        Self(teams)
    }
}

/// An event was not inserted, and nothing is in its way.
#[derive(Debug, thiserror::Error)]
#[error("the event at position {0} was not inserted, and no other event is in its way")]
struct Unexplained(Seq);

/// Says what became of each of `events`, in their order, after an insertion that made `new` rows and passed over
/// conflicts. `at_positions` and `under_keys` are the rows, in any order, at the positions and under the keys of at
/// least those that are no new rows; they are read after the insertion.
pub fn judge(
    events: &[&Event],
    new: &NewRows,
    at_positions: Vec<EventColumns>,
    under_keys: Vec<EventColumns>,
) -> Result<Vec<Insertion>, StoreError> {
    let mut at_position: HashMap<(TeamId, Seq), Event> = HashMap::new();
    for row in at_positions {
        let stored = row.into_event(Seq::ZERO)?;
        at_position.insert((stored.team.clone(), stored.seq), stored);
    }
    let mut under_key: HashMap<SendKey, Event> = HashMap::new();
    for row in under_keys {
        let stored = row.into_event(Seq::ZERO)?;
        under_key.insert(stored.key(), stored);
    }
    let insertion = |event: &&Event| {
        if new.contains(event) {
            return Ok(Insertion::Stored);
        }
        let key = event.key();
        let stored = at_position.get(&(event.team.clone(), event.seq));
        obstacle(event, &key, stored, under_key.get(&key)).ok_or_else(|| StoreError::Broken {
            context: "inserting into events".to_owned(),
            source: Unexplained(event.seq).into(),
        })
    };
    events.iter().map(insertion).collect()
}

/// For each team of which new events among `events` mean something to teams and members: a position above which the
/// store must hold no event of that sort. Where it does, what was written about the team before is out of order now.
pub fn ends_of_changes<'a>(events: &[&'a Event], insertions: &[Insertion]) -> BTreeMap<&'a TeamId, Seq> {
    struct Changes {
        first: Seq,
        last: Seq,
        interrupted: bool,
    }
    let mut teams: BTreeMap<&TeamId, Changes> = BTreeMap::new();
    for (event, insertion) in events.iter().zip(insertions) {
        let is_new = *insertion == Insertion::Stored;
        match teams.get_mut(&event.team) {
            Some(changes) if is_new => changes.last = event.seq,
            Some(changes) => changes.interrupted = true,
            None if is_new && concerns_directory(&event.kind) => {
                teams.insert(&event.team, Changes { first: event.seq, last: event.seq, interrupted: false });
            }
            None => {}
        }
    }
    let end = |changes: Changes| if changes.interrupted { changes.first } else { changes.last };
    teams.into_iter().map(|(team, changes)| (team, end(changes))).collect()
}

/// Whether `kind` means anything to teams and members.
pub fn concerns_directory(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Posted { .. })
}

fn obstacle(event: &Event, key: &SendKey, at_position: Option<&Event>, under_key: Option<&Event>) -> Option<Insertion> {
    match (at_position, under_key) {
        (Some(stored), _) if stored.key() == *key && stored.kind == event.kind => Some(Insertion::StoredBefore),
        (Some(stored), _) => Some(Insertion::Refused {
            reason: DeadLetterReason::SeqTaken,
            detail: format!("the position holds another event, by {} as {}", stored.sender, stored.client_id),
        }),
        (None, Some(stored)) => {
            let content = if stored.kind == event.kind { "the same content" } else { "other content" };
            Some(Insertion::Refused {
                reason: DeadLetterReason::LateDuplicate,
                detail: format!("the key is stored at position {}, with {content}", stored.seq),
            })
        }
        (None, None) => None,
    }
}
