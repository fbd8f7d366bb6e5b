//! Decides G2, one order for all: positions ascend wherever a team is shown, and one connection's sends stand in the order
//! in which they were sent.

use std::collections::HashSet;

use crate::{
    facts::{Facts, Key, Read, Subscription, Team},
    findings::{Findings, Place},
    recording::Name,
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for team in facts.teams.iter() {
        check_history(findings, team);
    }
    for subscription in facts.subscriptions.iter() {
        check_shown(facts, findings, subscription);
    }
    for read in &facts.reads {
        check_read(facts, findings, read);
    }
    check_sends(facts, findings);
}

fn check_history(findings: &mut Findings<'_>, team: &Team<'_>) {
    for pair in team.shown.windows(2) {
        let (earlier, row) = (pair[0], pair[1]);
        let (before, seq) = (earlier.event.seq, row.event.seq);
        if seq < before {
            let lines = [earlier.line, row.line];
            let place = Place { team: team.name, client: None, seq: Some(seq), lines: &lines };
            findings.add(Rule::Reordered, place, || format!("history shows {seq} after {before}"));
        }
    }
}

fn check_shown(facts: &Facts<'_>, findings: &mut Findings<'_>, subscription: &Subscription<'_>) {
    let start = subscription.start().unwrap_or(0);
    let mut highest: Option<(u64, usize)> = None;
    let mut earlier: Option<HashSet<u64>> = None;
    for (index, (event, line)) in subscription.events().enumerate() {
        let seq = event.seq;
        match highest {
            Some((before, before_line)) if seq <= before => {
                // What was shown already, or lies below the cursor, is doubled.
                let earlier = earlier
                    .get_or_insert_with(|| subscription.events().take(index).map(|(event, _)| event.seq).collect());
                if seq > start && earlier.insert(seq) {
                    let (team, client) = (subscription.team, Some(subscription.client));
                    let lines = [before_line, line];
                    findings.add(Rule::Reordered, Place { team, client, seq: Some(seq), lines: &lines }, || {
                        format!("{} was shown {seq} after {before}", facts.text(subscription.client))
                    });
                }
            }
            Some(_) | None => {
                highest = Some((seq, line));
                if let Some(earlier) = &mut earlier {
                    earlier.insert(seq);
                }
            }
        }
    }
}

fn check_read(facts: &Facts<'_>, findings: &mut Findings<'_>, read: &Read<'_>) {
    let mut before = read.after;
    for event in read.events {
        let seq = event.seq;
        if seq <= before {
            let lines = [read.asked, read.answered];
            let place = Place { team: read.team, client: Some(read.client), seq: Some(seq), lines: &lines };
            let (client, after) = (facts.text(read.client), read.after);
            findings.add(Rule::Reordered, place, || {
                format!("{client} read what comes after {after}, and the page has {seq} after {before}")
            });
        }
        before = before.max(seq);
    }
}

/// Of the sends that were tried once and taken at once.
fn check_sends(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    struct First {
        /// Client, connection, team.
        of: (Name, u32, Name),
        sent: usize,
        seq: u64,
        client_id: Name,
    }
    let mut firsts: Vec<First> = facts
        .sends
        .iter()
        .filter_map(|send| {
            let Key { team, client_id, .. } = send.key;
            let [attempt] = send.attempts.as_slice() else { return None };
            let (seq, false, _, _) = send.accepted().next()? else { return None };
            let (sent, _) = attempt.sent?;
            Some(First { of: (attempt.over.client, attempt.over.connection, team), sent, seq, client_id })
        })
        .collect();
    firsts.sort_unstable_by_key(|first| (first.of, first.sent));
    for pair in firsts.windows(2) {
        let (earlier, later) = (&pair[0], &pair[1]);
        if earlier.of != later.of || earlier.seq < later.seq {
            continue;
        }
        let (client, _, team) = later.of;
        let lines = [earlier.sent, later.sent];
        findings.add(
            Rule::Reordered,
            Place { team, client: Some(client), seq: Some(later.seq), lines: &lines },
            || {
                let (first, second) = (facts.text(earlier.client_id), facts.text(later.client_id));
                let (client, before, after) = (facts.text(client), earlier.seq, later.seq);
                format!("{client} sent {first} before {second}, and they were taken at {before} and {after}")
            },
        );
    }
}
