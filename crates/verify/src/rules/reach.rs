//! Follows each client through its subscriptions and pages of a team: how far it was given everything, and what it passed
//! over from one subscription to the next.

use std::collections::HashMap;

use crate::facts::{Facts, Follower, Shown, Subscription};

/// How far a client was given a team.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Up to here; `None` before anything tells. What the client had before its first subscription counts, by its word;
    /// any later word is held against what it was given.
    pub(super) end: Option<u64>,
    pub(super) holes: Vec<Hole>,
}

/// A subscription after more than the client was given, where history has something in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    /// The client was given everything up to here.
    pub(super) given: u64,
    /// The first position that it was not given.
    pub(super) first: u64,
    /// How many there are.
    pub(super) missing: usize,
    /// It asked for what comes after this.
    pub(super) after: u64,
    /// The line that asks.
    pub(super) line: usize,
    /// The line of history that shows the first one.
    pub(super) history: usize,
}

enum Step<'f, 'r> {
    Begin(&'f Subscription<'r>),
    Shown(u64),
    Page { after: u64, end: u64 },
}

/// The reach of every client that follows a team.
pub(super) fn of_followers(facts: &Facts<'_>) -> HashMap<Follower, Reach> {
    let mut steps: HashMap<Follower, Vec<(usize, Step<'_, '_>)>> = HashMap::new();
    for subscription in facts.subscriptions.iter() {
        let steps = steps.entry((subscription.client, subscription.team)).or_default();
        steps.push((subscription.line, Step::Begin(subscription)));
        steps.extend(subscription.shown.iter().map(|shown| match *shown {
            Shown::Event { event, line } => (line, Step::Shown(event.seq)),
            Shown::CaughtUp { seq, line } => (line, Step::Shown(seq)),
        }));
    }
    for read in &facts.reads {
        if let Some(steps) = steps.get_mut(&(read.client, read.team)) {
            let end = read.events.iter().map(|event| event.seq).max().unwrap_or(read.after);
            steps.push((read.answered, Step::Page { after: read.after, end }));
        }
    }
    let reaches = steps.into_iter().map(|(follower, mut steps)| {
        // Stable: a subscription that nobody asked for begins with what it shows, on the same line.
        steps.sort_by_key(|(line, _)| *line);
        let mut reach = Reach::default();
        for (_, step) in steps {
            reach.take(facts, &step);
        }
        (follower, reach)
    });
    reaches.collect()
}

impl Reach {
    fn take(&mut self, facts: &Facts<'_>, step: &Step<'_, '_>) {
        match *step {
            Step::Begin(subscription) => self.begin(facts, subscription),
            Step::Shown(seq) => self.end = self.end.max(Some(seq)),
            // A page from farther on leaves something out.
            Step::Page { after, end } if self.end.is_some_and(|given| after <= given) => {
                self.end = self.end.max(Some(end));
            }
            Step::Page { .. } => {}
        }
    }

    fn begin(&mut self, facts: &Facts<'_>, subscription: &Subscription<'_>) {
        let Some(after) = subscription.after else {
            // From now on: the client gives up what came before.
            self.end = self.end.max(subscription.last_seq);
            return;
        };
        let Some(given) = self.end.filter(|given| after > *given) else {
            self.end = self.end.max(Some(after));
            return;
        };
        let mut passed = facts.rows_between(subscription.team, given, after.saturating_add(1), subscription.sees);
        match passed.next() {
            Some(first) => self.holes.push(Hole {
                given,
                first: first.event.seq,
                missing: 1 + passed.count(),
                after,
                line: subscription.line,
                history: first.line,
            }),
            // Positions where there is nothing to be shown.
            None => self.end = Some(after),
        }
    }
}
