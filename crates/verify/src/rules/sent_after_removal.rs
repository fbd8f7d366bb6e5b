//! Decides G6, who is no member sends nothing: within a bound of a removal, sends end.

use std::time::Duration;

use crate::{
    facts::{Facts, Key, Membership, Row, Send, Standing, Team},
    findings::{Findings, Place},
    recording::Name,
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for team in facts.teams.iter() {
        for row in team.rows().iter().filter(|row| facts.kinds.is_posted(row.event)) {
            check_row(facts, findings, team, *row);
        }
    }
    for send in facts.sends.iter() {
        check_duplicates(facts, findings, send);
    }
}

/// The longest time from a removal to a send of the removed user that was taken.
pub(crate) fn longest(facts: &Facts<'_>) -> Duration {
    let mut longest_us = 0;
    for team in facts.teams.iter() {
        for row in team.rows().iter().filter(|row| facts.kinds.is_posted(row.event)) {
            let sender = row.event.sender;
            let Standing::Removed { removal, .. } = team.members.standing(sender, row.event.seq) else { continue };
            let sent = first_sent(facts, team.name, *row).map(|line| facts.at_us(line));
            if let (Some(sent_us), Some(in_force_us)) = (sent, removal.in_force_us()) {
                longest_us = longest_us.max(sent_us.saturating_sub(in_force_us));
            }
        }
    }
    Duration::from_micros(longest_us)
}

fn check_row(facts: &Facts<'_>, findings: &mut Findings<'_>, team: &Team<'_>, row: Row<'_>) {
    let (sender, seq) = (row.event.sender, row.event.seq);
    match team.members.standing(sender, seq) {
        Standing::Member => {}
        Standing::NotYet { .. } => {
            let place = Place { team: team.name, client: None, seq: Some(seq), lines: &[row.line] };
            findings.add(Rule::SentAfterRemoval, place, || {
                format!("history has a message of {} at {seq}, who was no member then", facts.text(sender))
            });
        }
        Standing::Removed { removal, .. } => {
            let Some(sent) = first_sent(facts, team.name, row) else { return };
            if is_late(facts, removal, sent) {
                let lines = [sent, row.line];
                let place = Place { team: team.name, client: None, seq: Some(seq), lines: &lines };
                findings.add(Rule::SentAfterRemoval, place, || late(facts, sender, seq, removal, sent));
            }
        }
    }
}

/// A retry tells nobody who was removed for good what became of the send.
fn check_duplicates(facts: &Facts<'_>, findings: &mut Findings<'_>, send: &Send) {
    let Key { team, sender, .. } = send.key;
    let Some(removal) = facts.teams.get(team).and_then(|team| team.members.removed_for_good(sender)) else { return };
    for (seq, _, line, attempt) in send.accepted() {
        let Some((begun, _)) = attempt.sent else { continue };
        // What was taken after the removal stands in history, where it has been judged.
        if seq < removal.seq && is_late(facts, removal, begun) {
            let lines = [begun, line];
            let place = Place { team, client: Some(attempt.over.client), seq: Some(seq), lines: &lines };
            findings.add(Rule::SentAfterRemoval, place, || late(facts, sender, seq, removal, begun));
        }
    }
}

/// The line of the first attempt of what stands in `row`.
fn first_sent(facts: &Facts<'_>, team: Name, row: Row<'_>) -> Option<usize> {
    let key = Key { team, sender: row.event.sender, client_id: row.event.client_id? };
    facts.sends.get(key)?.sent().map(|(line, _)| line).min_by_key(|line| facts.at_us(*line))
}

fn is_late(facts: &Facts<'_>, removal: Membership, sent: usize) -> bool {
    facts.answered_until_us(removal).is_some_and(|until_us| facts.at_us(sent) > until_us)
}

fn late(facts: &Facts<'_>, sender: Name, seq: u64, removal: Membership, sent: usize) -> String {
    let after = facts.at_us(sent).saturating_sub(removal.in_force_us().unwrap_or(0));
    let after = Duration::from_micros(after).as_secs_f64();
    let (sender, at) = (facts.text(sender), removal.seq);
    format!("{sender} was removed at {at}, and a send that began {after:.1} s later was accepted at {seq}")
}
