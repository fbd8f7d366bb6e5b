//! Decides no guarantee: names what keeps the other rules from deciding, so that a recording that says too little is not
//! taken for a clean one.

use std::collections::HashSet;

use crate::{
    facts::{Facts, Unclear},
    findings::{Findings, Place},
    recording::{Name, Note},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for Unclear { team, client, line, why } in &facts.unclear {
        // A line that names no team is about none that could be told.
        let team = team.unwrap_or(*client);
        let place = Place { team, client: Some(*client), seq: None, lines: &[*line] };
        findings.add(Rule::Unjudged, place, || (*why).to_owned());
    }
    let mut told: HashSet<Name> = HashSet::new();
    for (line, entry) in facts.recording.lines().iter().enumerate() {
        let team = match &entry.note {
            Note::Send { team, .. }
            | Note::Accepted { team, .. }
            | Note::Subscribe { team, .. }
            | Note::Settled { team, .. }
            | Note::MembershipChange { team, .. }
            | Note::Read { team, .. } => *team,
            Note::Event(event) => event.team,
            _ => continue,
        };
        if facts.teams.get(team).is_none() && told.insert(team) {
            let place = Place { team, client: None, seq: None, lines: &[line] };
            findings.add(Rule::Unjudged, place, || "the recording does not have this team's history".to_owned());
        }
    }
    for team in facts.teams.iter() {
        for row in team.shown.iter().filter(|row| facts.kinds.is_posted(row.event)) {
            if row.event.client_id.is_none() || row.event.digest.is_none() {
                let seq = Some(row.event.seq);
                findings.add(Rule::Unjudged, Place { team: team.name, client: None, seq, lines: &[row.line] }, || {
                    "a message in history without its key or its digest".to_owned()
                });
            }
        }
    }
}
