//! Decides G4, one key has one message: whoever retries gets what was stored, is told that it is a duplicate, and is refused
//! with another content.

use crate::{
    facts::{Attempt, Facts, Key, Send},
    findings::{Findings, Place},
    recording::Name,
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for send in facts.sends.iter() {
        check_content(facts, findings, send);
        check_retries(facts, findings, send);
    }
    for team in facts.teams.iter() {
        for row in team.rows().iter().filter(|row| facts.kinds.is_posted(row.event)) {
            let (Some(client_id), Some(digest)) = (row.event.client_id, row.event.digest) else { continue };
            let Some(send) = facts.sends.get(Key { team: team.name, sender: row.event.sender, client_id }) else {
                continue;
            };
            let (Some((line, _)), false) = (send.sent().next(), was_sent(send, digest)) else { continue };
            let seq = row.event.seq;
            let lines = [line, row.line];
            findings.add(
                Rule::Conflict,
                Place { team: team.name, client: None, seq: Some(seq), lines: &lines },
                || {
                    let (sender, client_id) = (facts.text(row.event.sender), facts.text(client_id));
                    format!(
                        "history has {sender}'s {client_id} at {seq} with a content that was never sent under this key"
                    )
                },
            );
        }
    }
}

fn was_sent(send: &Send, digest: Name) -> bool {
    send.sent().any(|(_, sent)| sent == digest)
}

/// Accepted with one content, stored with another one that was sent under the same key.
fn check_content(facts: &Facts<'_>, findings: &mut Findings<'_>, send: &Send) {
    let Key { team, sender, client_id } = send.key;
    for (seq, _, line, attempt) in send.accepted() {
        let Some((begun, content)) = attempt.sent else { continue };
        let row = facts
            .teams
            .get(team)
            .and_then(|team| team.row(seq))
            .filter(|row| row.event.sender == sender && row.event.client_id == Some(client_id));
        let Some(row) = row else { continue };
        if row.event.digest.is_none_or(|stored| stored == content || !was_sent(send, stored)) {
            continue;
        }
        let lines = [begun, line, row.line];
        findings.add(
            Rule::Conflict,
            Place { team, client: Some(attempt.over.client), seq: Some(seq), lines: &lines },
            || {
                let (sender, client_id) = (facts.text(sender), facts.text(client_id));
                format!(
                    "{sender}'s send {client_id} was accepted at {seq}, where another content stands under the same key"
                )
            },
        );
    }
}

/// An attempt that began after another one had been accepted is a duplicate, and must be called one.
fn check_retries(facts: &Facts<'_>, findings: &mut Findings<'_>, send: &Send) {
    let accepted: Vec<(u64, bool, usize, &Attempt)> = send.accepted().collect();
    if accepted.len() < 2 {
        return;
    }
    let Some((_, _, first, _)) = accepted.iter().min_by_key(|(_, _, line, _)| facts.at_us(*line)) else { return };
    let Key { team, sender, client_id } = send.key;
    for (seq, duplicate, line, attempt) in &accepted {
        let Some((begun, _)) = attempt.sent else { continue };
        if *duplicate || facts.at_us(begun) <= facts.at_us(*first) {
            continue;
        }
        let lines = [*first, begun, *line];
        findings.add(
            Rule::Conflict,
            Place { team, client: Some(attempt.over.client), seq: Some(*seq), lines: &lines },
            || {
                let (sender, client_id) = (facts.text(sender), facts.text(client_id));
                format!("{sender}'s send {client_id} had been accepted, and its retry was not called a duplicate")
            },
        );
    }
}
