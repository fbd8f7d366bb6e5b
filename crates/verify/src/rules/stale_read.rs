//! Decides G5, read your writes: a read with `min_seq` holds everything up to there, and a page leaves nothing out and
//! brings the reader on.

use crate::{
    facts::{Facts, Read},
    findings::{Findings, Place},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    let last_seq = facts.teams.last_seq();
    for read in &facts.reads {
        check_page(facts, findings, read);
        if read.has_more && read.events.is_empty() {
            let place = place(read, read.after);
            findings.add(Rule::StaleRead, Place { lines: &[read.asked, read.answered], ..place }, || {
                let (client, after) = (facts.text(read.client), read.after);
                format!("{client} read after {after} and was given nothing, and told that there is more")
            });
        }
        if read.min_seq > last_seq && facts.teams.get(read.team).is_some() {
            let place = place(read, read.min_seq);
            findings.add(Rule::StaleRead, Place { lines: &[read.asked, read.answered], ..place }, || {
                let (client, min_seq) = (facts.text(read.client), read.min_seq);
                format!("{client} read with min_seq {min_seq} and was answered, though no team ever came that far")
            });
        }
    }
}

fn place(read: &Read<'_>, seq: u64) -> Place<'static> {
    Place { team: read.team, client: Some(read.client), seq: Some(seq), lines: &[] }
}

fn check_page(facts: &Facts<'_>, findings: &mut Findings<'_>, read: &Read<'_>) {
    let mut shown = read.events.iter().map(|event| event.seq).peekable();
    let page_end = read.events.iter().map(|event| event.seq).max().unwrap_or(read.after);
    // Without more to come the page reaches to `min_seq`, whatever its last event is.
    let end = if read.has_more { page_end } else { page_end.max(read.min_seq) };
    let rows = facts.rows_between(read.team, read.after, end.saturating_add(1), read.sees);
    let missing: Vec<u64> = rows
        .map(|row| row.event.seq)
        .filter(|seq| {
            while shown.next_if(|shown| shown < seq).is_some() {}
            shown.next_if_eq(seq).is_none() && !read.events.iter().any(|event| event.seq == *seq)
        })
        .collect();
    let Some(first) = missing.first().copied() else { return };
    let lines = [read.asked, read.answered];
    findings.add(Rule::StaleRead, Place { lines: &lines, ..place(read, first) }, || {
        let Read { after, min_seq, .. } = *read;
        let (client, count) = (facts.text(read.client), missing.len());
        format!("{client} read after {after} with min_seq {min_seq}: {count} events from {first} on are missing")
    });
}
