//! Decides G2, no gap goes unnoticed: between its cursor and whatever a subscription was shown last, nothing is missing, and
//! `prev_seq` says so; nor is anything missing from one subscription to the next.

use std::collections::HashMap;

use super::reach::{self, Hole};
use crate::{
    facts::{Facts, Follower, Row, Shown, Subscription, Team},
    findings::{Findings, Place},
    recording::{EventNote, Name, Sees},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for team in facts.teams.iter() {
        check_history(findings, team);
    }
    for subscription in facts.subscriptions.iter() {
        Walk { facts, subscription, place: subscription.start(), first_lines: None }.check(findings);
    }
    let reaches = reach::of_followers(facts);
    for follower in facts.subscriptions.followers() {
        for hole in reaches.get(follower).map(|reach| reach.holes.as_slice()).unwrap_or_default() {
            add_hole(facts, findings, *follower, *hole);
        }
    }
}

/// A client resumes after what it was not given.
fn add_hole(facts: &Facts<'_>, findings: &mut Findings<'_>, (client, team): Follower, hole: Hole) {
    let Hole { given, first, missing, after, line, history } = hole;
    let lines = [line, history];
    findings.add(Rule::Gap, Place { team, client: Some(client), seq: Some(first), lines: &lines }, || {
        let client = facts.text(client);
        format!("{client} was given everything up to {given} and resumed after {after}: {missing} events from {first} on are passed over")
    });
}

/// History names the event before each.
fn check_history(findings: &mut Findings<'_>, team: &Team<'_>) {
    let mut before = 0;
    for row in team.rows() {
        let seq = row.event.seq;
        if let Some(prev_seq) = row.event.prev_seq.filter(|prev_seq| *prev_seq != 0 && *prev_seq != before) {
            let place = Place { team: team.name, client: None, seq: Some(seq), lines: &[row.line] };
            findings.add(Rule::Gap, place, || {
                format!("history says that {prev_seq} comes before {seq}, and shows {before} there")
            });
        }
        before = seq;
    }
}

struct Walk<'f, 'r> {
    facts: &'f Facts<'r>,
    subscription: &'f Subscription<'r>,
    /// Everything up to here has been shown; `None` before that can be told.
    place: Option<u64>,
    /// All positions that were shown, and the first line of each.
    first_lines: Option<HashMap<u64, usize>>,
}

impl<'r> Walk<'_, 'r> {
    fn check(mut self, findings: &mut Findings<'_>) {
        for shown in &self.subscription.shown {
            match *shown {
                Shown::Event { event, line } => {
                    if let Some(place) = self.place {
                        if event.seq <= place {
                            continue;
                        }
                        let is_whole = self.check_between(findings, place, event.seq, line, None);
                        if is_whole && self.subscription.sees == Sees::Events {
                            self.check_prev_seq(findings, place, event, line);
                        }
                    }
                    self.place = Some(event.seq);
                }
                Shown::CaughtUp { seq, line } => {
                    if let Some(place) = self.place.filter(|place| *place < seq) {
                        self.check_between(findings, place, seq.saturating_add(1), line, Some(line));
                    }
                    self.place = self.place.max(Some(seq));
                }
            }
        }
    }

    /// Whether nothing is missing after `place` and before `before`, of which `line` tells. What comes too late is missing
    /// only if it was said to have been sent (`by` that line).
    fn check_between(
        &mut self,
        findings: &mut Findings<'_>,
        place: u64,
        before: u64,
        line: usize,
        by: Option<usize>,
    ) -> bool {
        let subscription = self.subscription;
        let mut missing: Vec<Row<'r>> = Vec::new();
        for row in self.facts.rows_between(subscription.team, place, before, subscription.sees) {
            let first_lines = self.first_lines.get_or_insert_with(|| subscription.first_lines());
            let shown = first_lines.get(&row.event.seq);
            if shown.is_none_or(|shown| by.is_some_and(|by| *shown > by)) {
                missing.push(row);
            }
        }
        let Some(first) = missing.first() else { return true };
        let seq = first.event.seq;
        let lines = [line, first.line];
        let (team, client) = (subscription.team, Some(subscription.client));
        findings.add(Rule::Gap, Place { team, client, seq: Some(seq), lines: &lines }, || {
            let client = self.facts.text(subscription.client);
            let more = match missing.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("{client} had everything up to {place}, was taken to {} and not shown {seq}{more}", before - 1)
        });
        false
    }

    fn check_prev_seq(&self, findings: &mut Findings<'_>, place: u64, event: &EventNote<Name>, line: usize) {
        let (team, seq) = (self.subscription.team, event.seq);
        let Some(prev_seq) = event.prev_seq.filter(|prev_seq| *prev_seq != 0) else { return };
        let hidden = self.facts.rows_between(team, prev_seq, seq, Sees::Events).next();
        let client = self.facts.text(self.subscription.client);
        let at = |lines| Place { team, client: Some(self.subscription.client), seq: Some(seq), lines };
        if prev_seq > place {
            findings.add(Rule::Gap, at(&[line]), || {
                format!("{client} had everything up to {place}, and {seq} says that {prev_seq} came before it")
            });
        } else if let Some(row) = hidden {
            findings.add(Rule::Gap, at(&[line, row.line]), || {
                format!("{client} was told that {prev_seq} comes before {seq}, and history has {} there", row.event.seq)
            });
        }
    }
}
