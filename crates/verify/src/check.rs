//! Applies the rules to a recording.

use std::collections::HashSet;

use crate::{
    facts::Facts,
    findings::Findings,
    options::Options,
    recording::{Name, Note, Recording},
    report::{Counts, Report},
    rules,
};

/// Decides whether the guarantees held in `recording`. The same recording and options give the same report. Time and
/// memory grow with the number of lines.
pub fn check(recording: &Recording, options: &Options) -> Report {
    let facts = Facts::of(recording, options);
    let mut findings = Findings::new(recording, options.findings_per_rule_max);
    rules::check(&facts, &mut findings);
    let counts = count(&facts);
    let (findings, by_rule) = findings.finish();
    Report { findings, by_rule, counts }
}

fn count(facts: &Facts<'_>) -> Counts {
    let mut counts = Counts { sent_after_removal_max: rules::sent_after_removal_max(facts), ..Counts::default() };
    let mut clients: HashSet<Name> = HashSet::new();
    for line in facts.recording.lines() {
        counts.lines += 1;
        match &line.note {
            Note::Connected { .. } => {
                counts.connections += 1;
                clients.insert(line.client);
            }
            Note::Send { .. } => counts.attempts += 1,
            Note::Accepted { duplicate, .. } => {
                counts.accepted += 1;
                counts.duplicates += u64::from(*duplicate);
            }
            Note::Refused { .. } => counts.refused += 1,
            Note::Stored { .. } => counts.stored += 1,
            Note::Subscribe { .. } => counts.subscriptions += 1,
            Note::Event(_) => counts.events += 1,
            Note::ReadDone { .. } => counts.reads += 1,
            Note::History { events, .. } => counts.history_events += events.len() as u64,
            Note::MembershipChange { .. } => counts.membership_changes += 1,
            Note::Fault { .. } => counts.faults += 1,
            Note::Settled { .. } => counts.settled += 1,
            Note::Disconnected { .. }
            | Note::Subscribed { .. }
            | Note::CaughtUp { .. }
            | Note::Ended { .. }
            | Note::Read { .. }
            | Note::ReadRefused { .. }
            | Note::Healed { .. } => {}
        }
    }
    counts.clients = clients.len() as u64;
    counts.teams = facts.teams.iter().count() as u64;
    for send in facts.sends.iter() {
        counts.sends += 1;
        counts.unknown += u64::from(send.accepted().next().is_none());
    }
    counts
}
