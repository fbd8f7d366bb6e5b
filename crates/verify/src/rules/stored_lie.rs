//! Decides G1, the second receipt: whatever a `stored` covers is in history.

use super::is_kept;
use crate::{
    facts::Facts,
    findings::{Findings, Place},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for send in facts.sends.iter() {
        let key = send.key;
        for (seq, _, line, attempt) in send.accepted() {
            let over = attempt.over;
            let Some(receipt) = facts.stored.get(&(over.client, over.connection, key.team)) else { continue };
            if seq > receipt.seq || is_kept(facts, key, seq) {
                continue;
            }
            let lines = [line, receipt.line];
            let place = Place { team: key.team, client: Some(over.client), seq: Some(seq), lines: &lines };
            findings.add(Rule::StoredLie, place, || {
                let (sender, client_id) = (facts.text(key.sender), facts.text(key.client_id));
                let covered = receipt.seq;
                format!("{sender}'s send {client_id} at {seq} was said to be stored (up to {covered}), and is not")
            });
        }
    }
}
