//! Who was a member of a team when, by position and by time.

use std::collections::HashMap;

use crate::recording::Name;

/// Something that shows that the log had come to `seq` by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    pub(super) seq: u64,
    pub(super) at_us: u64,
}

/// A change of one user's membership.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) seq: u64,
    pub(crate) is_removal: bool,
    /// When the change was acknowledged to whoever made it, in microseconds.
    acknowledged_us: Option<u64>,
    /// When somebody first saw that the log had come to the change, in microseconds.
    known_us: Option<u64>,
}

impl Membership {
    /// From when on the change was in force for sure.
    pub(crate) fn in_force_us(&self) -> Option<u64> {
        self.acknowledged_us.or(self.known_us)
    }

    pub(crate) fn known_us(&self) -> Option<u64> {
        self.known_us
    }
}

/// What a user was at a position.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing {
    /// A member, as far as history tells.
    Member,
    /// Not added yet, or never: `added` is the addition that follows, if any.
    NotYet { added: Option<Membership> },
    /// Removed, and perhaps added again later.
    Removed { removal: Membership, added_again: Option<Membership> },
}

#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Each user's changes, ascending.
    changes: HashMap<Name, Vec<Membership>>,
    /// Whether history begins with the team, so that whoever was never added is no member.
    is_from_start: bool,
    /// The positions of all changes, ascending, and when the log was first seen to have come to each, but not yet to the
    /// next one.
    sightings: Vec<(u64, Option<u64>)>,
}

impl Members {
    /// Says that history begins with the team.
    pub(super) fn begins_with_the_team(&mut self) {
        self.is_from_start = true;
    }

    /// Takes a change; they come in ascending order.
    pub(super) fn change(&mut self, user: Name, seq: u64, is_removal: bool) {
        let change = Membership { seq, is_removal, acknowledged_us: None, known_us: None };
        self.changes.entry(user).or_default().push(change);
        self.sightings.push((seq, None));
    }

    pub(super) fn sighted(&mut self, sighting: Sighting) {
        let later = self.sightings.partition_point(|(seq, _)| *seq <= sighting.seq);
        if let Some((_, at_us)) = self.sightings[..later].last_mut() {
            *at_us = Some(at_us.map_or(sighting.at_us, |earlier| earlier.min(sighting.at_us)));
        }
    }

    pub(super) fn acknowledged(&mut self, user: Name, seq: u64, at_us: u64) {
        let change =
            self.changes.get_mut(&user).and_then(|changes| changes.iter_mut().find(|change| change.seq == seq));
        if let Some(change) = change {
            change.acknowledged_us = Some(change.acknowledged_us.map_or(at_us, |earlier| earlier.min(at_us)));
        }
    }

    /// After all sightings: whoever saw a later position knows of the earlier ones, too.
    pub(super) fn finish(&mut self) {
        let mut earliest: Option<u64> = None;
        for (_, at_us) in self.sightings.iter_mut().rev() {
            earliest = [earliest, *at_us].into_iter().flatten().min();
            *at_us = earliest;
        }
        for change in self.changes.values_mut().flatten() {
            let index = self.sightings.partition_point(|(seq, _)| *seq < change.seq);
            change.known_us = self.sightings.get(index).and_then(|(_, at_us)| *at_us);
        }
    }

    /// What `user` was at `seq`. An event that removes a user finds a member, one that adds a user makes one.
    pub(crate) fn standing(&self, user: Name, seq: u64) -> Standing {
        let Some(changes) = self.changes.get(&user) else {
            return if self.is_from_start { Standing::NotYet { added: None } } else { Standing::Member };
        };
        let next = changes.partition_point(|change| change.seq < seq);
        let added_here = changes.get(next).is_some_and(|change| change.seq == seq && !change.is_removal);
        if added_here {
            return Standing::Member;
        }
        match changes[..next].last() {
            Some(removal) if removal.is_removal => {
                let added_again = changes[next..].iter().find(|change| !change.is_removal);
                Standing::Removed { removal: *removal, added_again: added_again.copied() }
            }
            None => match changes.first().copied() {
                Some(first) if !first.is_removal => Standing::NotYet { added: Some(first) },
                // Removed before ever being added: history begins too late to tell of that.
                Some(_) | None => Standing::Member,
            },
            Some(_) => Standing::Member,
        }
    }

    /// The removal that stands at the end of history.
    pub(crate) fn removed_for_good(&self, user: Name) -> Option<Membership> {
        self.changes.get(&user).and_then(|changes| changes.last()).filter(|last| last.is_removal).copied()
    }

    /// Whether `user` is no member at the end of history.
    pub(crate) fn is_outside_at_end(&self, user: Name) -> bool {
        match self.changes.get(&user).and_then(|changes| changes.last()) {
            Some(last) => last.is_removal,
            None => self.is_from_start,
        }
    }

    /// Whether `user` was ever removed.
    pub(crate) fn was_removed(&self, user: Name) -> bool {
        self.changes.get(&user).is_some_and(|changes| changes.iter().any(|change| change.is_removal))
    }
}
