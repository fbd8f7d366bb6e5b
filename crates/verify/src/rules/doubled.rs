//! Decides G2 and G4, each thing once: no key at two positions, no position twice, no event shown twice on a connection
//! or again at or below the cursor that the client stated.

use std::collections::{HashMap, HashSet};

use crate::{
    facts::{Facts, Key, Row, Subscription, Team},
    findings::{Findings, Place},
    recording::Name,
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for team in facts.teams.iter() {
        check_history(facts, findings, team);
    }
    check_receipts(facts, findings);
    for subscription in facts.subscriptions.iter() {
        check_shown(facts, findings, subscription);
    }
}

fn check_history(facts: &Facts<'_>, findings: &mut Findings<'_>, team: &Team<'_>) {
    let mut positions = HashSet::with_capacity(team.shown.len());
    for row in &team.shown {
        let seq = row.event.seq;
        if !positions.insert(seq) {
            let place = Place { team: team.name, client: None, seq: Some(seq), lines: &[row.line] };
            findings.add(Rule::Doubled, place, || format!("history shows position {seq} twice"));
        }
    }
    drop(positions);
    let mut keys: HashMap<(Name, Name), Row<'_>> = HashMap::with_capacity(team.rows().len());
    for row in team.rows() {
        let Some(client_id) = row.event.client_id else { continue };
        let sender = row.event.sender;
        let Some(earlier) = keys.get(&(sender, client_id)) else {
            keys.insert((sender, client_id), *row);
            continue;
        };
        let (first, seq) = (earlier.event.seq, row.event.seq);
        let place = Place { team: team.name, client: None, seq: Some(seq), lines: &[earlier.line, row.line] };
        findings.add(Rule::Doubled, place, || {
            let (sender, client_id) = (facts.text(sender), facts.text(client_id));
            format!("history has {sender}'s {client_id} at {first} and again at {seq}")
        });
    }
}

fn check_receipts(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for send in facts.sends.iter() {
        let Key { team, sender, client_id } = send.key;
        let mut accepted = send.accepted();
        let Some((first, _, first_line, _)) = accepted.next() else { continue };
        for (seq, _, line, attempt) in accepted.filter(|(seq, ..)| *seq != first) {
            let lines = [first_line, line];
            let place = Place { team, client: Some(attempt.over.client), seq: Some(seq), lines: &lines };
            findings.add(Rule::Doubled, place, || {
                let (sender, client_id) = (facts.text(sender), facts.text(client_id));
                format!("{sender}'s send {client_id} was accepted at {first} and again at {seq}")
            });
        }
    }
}

fn check_shown(facts: &Facts<'_>, findings: &mut Findings<'_>, subscription: &Subscription<'_>) {
    let start = subscription.start().unwrap_or(0);
    let (team, client) = (subscription.team, Some(subscription.client));
    let mut highest = start;
    // Only a subscription whose events do not ascend pays for this.
    let mut first_lines: Option<HashMap<u64, usize>> = None;
    for (event, line) in subscription.events() {
        let seq = event.seq;
        if seq > highest {
            highest = seq;
            continue;
        }
        if seq <= start {
            let lines = [subscription.line, line];
            findings.add(Rule::Doubled, Place { team, client, seq: Some(seq), lines: &lines }, || {
                let client = facts.text(subscription.client);
                format!("{client} subscribed after {start} and was shown {seq} all the same")
            });
            continue;
        }
        let first_lines = first_lines.get_or_insert_with(|| subscription.first_lines());
        if let Some(first) = first_lines.get(&seq).copied().filter(|first| *first < line) {
            let lines = [first, line];
            findings.add(Rule::Doubled, Place { team, client, seq: Some(seq), lines: &lines }, || {
                let (client, connection) = (facts.text(subscription.client), subscription.connection);
                format!("{client} was shown {seq} twice on its connection {connection}")
            });
        }
    }
}
