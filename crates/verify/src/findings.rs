//! Gathers findings: all are counted, the first of each rule are kept.

use crate::{
    recording::{Name, Recording},
    report::{Finding, Rule, RuleCount},
};

/// Where something is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) team: Name,
    pub(crate) client: Option<Name>,
    pub(crate) seq: Option<u64>,
    /// Indices of lines.
    pub(crate) lines: &'a [usize],
}

/// Counts findings, and keeps the first of each rule.
#[derive(Debug)]
pub(crate) struct Tally {
    kept_max: usize,
    kept: [Vec<Finding>; Rule::ALL.len()],
    counts: [u64; Rule::ALL.len()],
}

impl Tally {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept_max, kept: Default::default(), counts: Default::default() }
    }

    /// Notes that `rule` is broken. The finding is made when it is kept.
    pub(crate) fn add(&mut self, rule: Rule, finding: impl FnOnce() -> Finding) {
        let index = rule as usize;
        self.counts[index] += 1;
        if self.kept[index].len() < self.kept_max {
            self.kept[index].push(finding());
        }
    }

    pub(crate) fn finish(self) -> (Vec<Finding>, Vec<RuleCount>) {
        let mut findings = Vec::new();
        for mut kept in self.kept {
            kept.sort_by_key(|finding| finding.lines.iter().min().copied());
            findings.append(&mut kept);
        }
        let counts = Rule::ALL.into_iter().zip(self.counts);
        let counts = counts.filter(|(_, findings)| *findings > 0);
        (findings, counts.map(|(rule, findings)| RuleCount { rule, findings }).collect())
    }
}

/// The findings in a recording.
#[derive(Debug)]
pub(crate) struct Findings<'r> {
    recording: &'r Recording,
    tally: Tally,
}

impl<'r> Findings<'r> {
    pub(crate) fn new(recording: &'r Recording, kept_max: usize) -> Self {
        Self { recording, tally: Tally::new(kept_max) }
    }

    /// Notes that `rule` is broken. The text is made when the finding is kept.
    pub(crate) fn add(&mut self, rule: Rule, place: Place<'_>, text: impl FnOnce() -> String) {
        let recording = self.recording;
        self.tally.add(rule, || Finding {
            rule,
            team: recording.text(place.team).to_owned(),
            client: place.client.map(|client| recording.text(client).to_owned()),
            seq: place.seq,
            text: text(),
            lines: place.lines.iter().map(|line| Recording::number(*line)).collect(),
        });
    }

    pub(crate) fn finish(self) -> (Vec<Finding>, Vec<RuleCount>) {
        self.tally.finish()
    }
}
