//! Decides G1, nothing acknowledged is lost: what was accepted stands in history, at the position that was named, and so
//! does every change of members that was acknowledged.

use super::is_kept;
use crate::{
    facts::{AcknowledgedChange, Facts},
    findings::{Findings, Place},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for send in facts.sends.iter() {
        let key = send.key;
        for (seq, _, line, attempt) in send.accepted() {
            if is_kept(facts, key, seq) {
                continue;
            }
            let Some(team) = facts.teams.get(key.team) else { continue };
            let there = team.row(seq);
            let lines: Vec<usize> = [Some(line), there.map(|row| row.line)].into_iter().flatten().collect();
            let place = Place { team: key.team, client: Some(attempt.over.client), seq: Some(seq), lines: &lines };
            findings.add(Rule::Lost, place, || {
                let (sender, client_id) = (facts.text(key.sender), facts.text(key.client_id));
                let what = match there {
                    Some(_) => "has another event there",
                    None if seq > team.last_seq() => "ends before that",
                    None => "has nothing there",
                };
                format!("{sender}'s send {client_id} was accepted at {seq}, and history {what}")
            });
        }
    }
    for change in &facts.changes {
        check_change(facts, findings, change);
    }
}

fn check_change(facts: &Facts<'_>, findings: &mut Findings<'_>, change: &AcknowledgedChange) {
    let Some(team) = facts.teams.get(change.team) else { return };
    let row = team.row(change.seq);
    let is_there = row.is_some_and(|row| {
        row.event.subject == Some(change.user) && facts.kinds.removes(row.event) == Some(change.is_removal)
    });
    if is_there {
        return;
    }
    let lines: Vec<usize> = [Some(change.line), row.map(|row| row.line)].into_iter().flatten().collect();
    let place = Place { team: change.team, client: Some(change.client), seq: Some(change.seq), lines: &lines };
    findings.add(Rule::Lost, place, || {
        let (what, user) = (if change.is_removal { "removal" } else { "addition" }, facts.text(change.user));
        format!("the {what} of {user} was acknowledged at {}, and history has no such change there", change.seq)
    });
}
