//! Decides G2, all see the same: whatever a client was shown at a position is what history has there.

use crate::{
    facts::Facts,
    findings::{Findings, Place},
    recording::{EventNote, Name},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for subscription in facts.subscriptions.iter() {
        for (event, line) in subscription.events() {
            check_event(facts, findings, event, subscription.client, line);
        }
    }
    for read in &facts.reads {
        for event in read.events {
            check_event(facts, findings, event, read.client, read.answered);
        }
    }
}

fn check_event(facts: &Facts<'_>, findings: &mut Findings<'_>, event: &EventNote<Name>, client: Name, line: usize) {
    // Without a history there is nothing to compare with, which is a finding of its own.
    let Some(team) = facts.teams.get(event.team) else { return };
    let seq = event.seq;
    let place = |lines| Place { team: event.team, client: Some(client), seq: Some(seq), lines };
    let Some(row) = team.row(seq) else {
        findings.add(Rule::Disagreement, place(&[line]), || {
            format!("{} was shown an event at {seq}, and history has none there", facts.text(client))
        });
        return;
    };
    let both = |one: Option<Name>, other: Option<Name>| one.zip(other).is_some_and(|(one, other)| one != other);
    let stored = row.event;
    let what = if event.sender != stored.sender {
        "another sender"
    } else if event.kind != stored.kind {
        "another kind of event"
    } else if both(event.client_id, stored.client_id) {
        "another key"
    } else if both(event.digest, stored.digest) {
        "another content"
    } else if both(event.subject, stored.subject) {
        "another subject"
    } else {
        return;
    };
    findings.add(Rule::Disagreement, place(&[line, row.line]), || {
        format!("{} was shown {what} at {seq} than history has", facts.text(client))
    });
}
