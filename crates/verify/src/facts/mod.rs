//! The lines of a recording, sorted by what they are about. What the rules look at.

mod build;
mod faults;
mod members;
mod sends;
mod subscriptions;
mod teams;

use std::collections::HashMap;

use crate::{
    options::Options,
    recording::{EventNote, Name, Recording, Sees, kind},
};

pub(crate) use self::{
    members::{Membership, Standing},
    sends::{Attempt, Key, Outcome, Send, Sends},
    subscriptions::{Shown, Subscription, Subscriptions},
    teams::{Row, Team, Teams},
};

/// A read of history that was answered.
#[derive(Debug)]
pub(crate) struct Read<'r> {
    pub(crate) client: Name,
    pub(crate) user: Option<Name>,
    pub(crate) sees: Sees,
    pub(crate) team: Name,
    pub(crate) after: u64,
    pub(crate) min_seq: u64,
    /// The line of the request, and of the answer.
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    pub(crate) events: &'r [EventNote<Name>],
    pub(crate) has_more: bool,
}

/// A change of members that was acknowledged.
#[derive(Debug)]
pub(crate) struct AcknowledgedChange {
    pub(crate) team: Name,
    pub(crate) user: Name,
    pub(crate) seq: u64,
    pub(crate) is_removal: bool,
    pub(crate) client: Name,
    pub(crate) line: usize,
}

/// A second receipt: the highest one of a connection and team.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredReceipt {
    pub(crate) seq: u64,
    pub(crate) line: usize,
}

/// A client's word that it has everything of a team, the last one that it gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    pub(crate) cursor: u64,
    pub(crate) sees: Sees,
    pub(crate) line: usize,
}

/// A line that cannot be judged, and why.
#[derive(Debug)]
pub(crate) struct Unclear {
    pub(crate) team: Option<Name>,
    pub(crate) client: Name,
    pub(crate) line: usize,
    pub(crate) why: &'static str,
}

/// One client and team.
pub(crate) type Follower = (Name, Name);

#[derive(Debug)]
pub(crate) struct Facts<'r> {
    pub(crate) recording: &'r Recording,
    pub(crate) options: &'r Options,
    pub(crate) kinds: Kinds,
    pub(crate) teams: Teams<'r>,
    pub(crate) sends: Sends,
    pub(crate) subscriptions: Subscriptions<'r>,
    pub(crate) reads: Vec<Read<'r>>,
    pub(crate) changes: Vec<AcknowledgedChange>,
    /// By client, connection and team.
    pub(crate) stored: HashMap<(Name, u32, Name), StoredReceipt>,
    pub(crate) settled: HashMap<Follower, Settled>,
    pub(crate) faults: faults::Faults,
    pub(crate) unclear: Vec<Unclear>,
}

impl<'r> Facts<'r> {
    /// Sorts the lines of `recording`.
    pub(crate) fn of(recording: &'r Recording, options: &'r Options) -> Self {
        build::build(recording, options)
    }

    pub(crate) fn text(&self, name: Name) -> &'r str {
        self.recording.text(name)
    }

    /// When the line at `index` was written, in microseconds since the beginning.
    pub(crate) fn at_us(&self, index: usize) -> u64 {
        self.recording.lines()[index].at_us
    }

    /// Until when what a removed user began may still be answered, in microseconds since the beginning; `None` where nobody
    /// can tell when the removal came into force.
    pub(crate) fn answered_until_us(&self, removal: Membership) -> Option<u64> {
        let in_force_us = removal.in_force_us()?;
        let calm = self.options.calm_revocation_bound.filter(|_| self.faults.is_calm_around(in_force_us));
        let bound = calm.unwrap_or(self.options.revocation_bound);
        Some(in_force_us.saturating_add(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Whether somebody who `sees` this much is shown `event`.
    pub(crate) fn is_visible(&self, event: &EventNote<Name>, sees: Sees) -> bool {
        match sees {
            Sees::Events => true,
            Sees::Messages => self.kinds.is_posted(event),
        }
    }

    /// The rows of `team` in history after `after` and before `before` that somebody who `sees` this much is to be shown.
    pub(crate) fn rows_between(
        &self,
        team: Name,
        after: u64,
        before: u64,
        sees: Sees,
    ) -> impl Iterator<Item = Row<'r>> + use<'_, 'r> {
        let rows = self.teams.get(team).map_or(&[][..], |team| team.between(after, before));
        rows.iter().copied().filter(move |row| self.is_visible(row.event, sees))
    }
}

/// The names of the kinds that mean something; `None` when the recording has no such event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds {
    posted: Option<Name>,
    team_created: Option<Name>,
    member_added: Option<Name>,
    member_removed: Option<Name>,
}

impl Kinds {
    fn of(recording: &Recording) -> Self {
        Self {
            posted: recording.find(kind::POSTED),
            team_created: recording.find(kind::TEAM_CREATED),
            member_added: recording.find(kind::MEMBER_ADDED),
            member_removed: recording.find(kind::MEMBER_REMOVED),
        }
    }

    pub(crate) fn is_posted(&self, event: &EventNote<Name>) -> bool {
        Some(event.kind) == self.posted
    }

    pub(crate) fn is_team_created(&self, event: &EventNote<Name>) -> bool {
        Some(event.kind) == self.team_created
    }

    /// Whether `event` removes (`true`) or adds (`false`) its subject; `None` when it does neither.
    pub(crate) fn removes(&self, event: &EventNote<Name>) -> Option<bool> {
        let kind = Some(event.kind);
        if kind == self.member_removed {
            Some(true)
        } else if kind == self.member_added || kind == self.team_created {
            Some(false)
        } else {
            None
        }
    }
}
