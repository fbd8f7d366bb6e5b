//! Every subscription, and what it was shown.

use std::collections::HashMap;

use super::Follower;
use crate::recording::{EventNote, Name, Sees};

/// Something that a subscription was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown<'r> {
    Event {
        event: &'r EventNote<Name>,
        line: usize,
    },
    /// Word that everything up to `seq` has been sent.
    CaughtUp {
        seq: u64,
        line: usize,
    },
}

#[derive(Debug)]
pub(crate) struct Subscription<'r> {
    pub(crate) team: Name,
    pub(crate) client: Name,
    pub(crate) connection: u32,
    pub(crate) user: Option<Name>,
    pub(crate) sees: Sees,
    /// The line with which it begins.
    pub(crate) line: usize,
    /// The cursor that the client stated.
    pub(crate) after: Option<u64>,
    /// The team's last position when the subscription stood, if that was said.
    pub(crate) last_seq: Option<u64>,
    /// In the order of the lines.
    pub(crate) shown: Vec<Shown<'r>>,
    pub(crate) has_ended: bool,
}

impl<'r> Subscription<'r> {
    /// Everything after this position is to be shown; `None` when that is not known.
    pub(crate) fn start(&self) -> Option<u64> {
        self.after.or(self.last_seq)
    }

    /// The position that the team had come to when the subscription began, or a later one: the last one that it said it
    /// had, or had sent, at first. `None` where it said neither.
    pub(crate) fn begun_at(&self) -> Option<u64> {
        self.last_seq.or_else(|| {
            self.shown.iter().find_map(|shown| match shown {
                Shown::CaughtUp { seq, .. } => Some(*seq),
                Shown::Event { .. } => None,
            })
        })
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (&'r EventNote<Name>, usize)> + '_ {
        self.shown.iter().filter_map(|shown| match shown {
            Shown::Event { event, line } => Some((*event, *line)),
            Shown::CaughtUp { .. } => None,
        })
    }

    /// Every position that was shown, and the first line that shows it.
    pub(crate) fn first_lines(&self) -> HashMap<u64, usize> {
        let mut first_lines = HashMap::new();
        for (event, line) in self.events() {
            first_lines.entry(event.seq).or_insert(line);
        }
        first_lines
    }

    /// How far everything has been shown, as far as the client can tell.
    pub(crate) fn end(&self) -> Option<u64> {
        let shown = self.shown.iter().map(|shown| match shown {
            Shown::Event { event, .. } => event.seq,
            Shown::CaughtUp { seq, .. } => *seq,
        });
        shown.chain(self.start()).max()
    }
}

/// All subscriptions, in the order of their first lines.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions<'r> {
    all: Vec<Subscription<'r>>,
    /// Each connection's present one of a team.
    present: HashMap<(Name, u32, Name), usize>,
    by_follower: HashMap<Follower, Vec<usize>>,
    /// In the order of their first lines.
    followers: Vec<Follower>,
}

impl<'r> Subscriptions<'r> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subscription<'r>> {
        self.all.iter()
    }

    pub(crate) fn followers(&self) -> &[Follower] {
        &self.followers
    }

    /// A client's subscriptions to a team.
    pub(crate) fn of(&self, follower: Follower) -> impl DoubleEndedIterator<Item = &Subscription<'r>> {
        let indices = self.by_follower.get(&follower).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| &self.all[*index])
    }

    /// Takes in a new one, the connection's present one from now on.
    pub(super) fn begin(&mut self, subscription: Subscription<'r>) -> &mut Subscription<'r> {
        let Subscription { client, connection, team, .. } = subscription;
        let index = self.all.len();
        self.all.push(subscription);
        self.present.insert((client, connection, team), index);
        let indices = self.by_follower.entry((client, team)).or_default();
        if indices.is_empty() {
            self.followers.push((client, team));
        }
        indices.push(index);
        &mut self.all[index]
    }

    /// The connection's present one. Without one it begins what `make` returns: the connection was shown something that
    /// it had not asked for.
    pub(super) fn present(
        &mut self,
        client: Name,
        connection: u32,
        team: Name,
        make: impl FnOnce() -> Subscription<'r>,
    ) -> &mut Subscription<'r> {
        match self.present.get(&(client, connection, team)) {
            Some(index) => &mut self.all[*index],
            None => self.begin(make()),
        }
    }
}
