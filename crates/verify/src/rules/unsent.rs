//! Decides G4, nothing appears that nobody sent: each message in history, and each receipt, has a send behind it that was
//! not refused for good.

use crate::{
    facts::{Facts, Key, Outcome, Row, Send},
    findings::{Findings, Place},
    recording::Name,
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for team in facts.teams.iter() {
        for row in team.rows().iter().filter(|row| facts.kinds.is_posted(row.event)) {
            let Some(client_id) = row.event.client_id else { continue };
            let send = facts.sends.get(Key { team: team.name, sender: row.event.sender, client_id });
            check_row(facts, findings, team.name, *row, client_id, send);
        }
    }
    for send in facts.sends.iter() {
        let Key { team, sender, client_id } = send.key;
        if send.sent().next().is_some() {
            continue;
        }
        for (seq, _, line, attempt) in send.accepted() {
            let place = Place { team, client: Some(attempt.over.client), seq: Some(seq), lines: &[line] };
            findings.add(Rule::Unsent, place, || {
                format!("{}'s {} was accepted, and was never sent", facts.text(sender), facts.text(client_id))
            });
        }
    }
}

fn check_row(
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
    team: Name,
    row: Row<'_>,
    client_id: Name,
    send: Option<&Send>,
) {
    let why = match send {
        None => "nobody sent it",
        Some(send) if send.attempts.iter().all(|attempt| attempt.sent.is_none()) => "nobody sent it",
        Some(send) if send.attempts.iter().all(is_refused_for_good) => "it was refused for good",
        Some(_) => return,
    };
    let seq = row.event.seq;
    findings.add(Rule::Unsent, Place { team, client: None, seq: Some(seq), lines: &[row.line] }, || {
        let (sender, client_id) = (facts.text(row.event.sender), facts.text(client_id));
        format!("history has {sender}'s {client_id} at {seq}, and {why}")
    });
}

fn is_refused_for_good(attempt: &crate::facts::Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Refused { retryable: false })
}
