//! A recording, checked.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use huddle_verify::{Counts, Options, Recording, check as check_recording};
use indicatif::HumanCount;
use serde_json::json;

use super::{Args, report::Outcome};
use crate::failure::Failure;

/// How much of the file is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;

/// Reads and judges the recording. What cannot be read is wrong usage.
pub(super) fn check(args: &Args, file: &Path) -> Result<Outcome, Failure> {
    let name = file.display().to_string();
    let input: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).with_context(|| format!("cannot open {name}"));
        Box::new(opened.map_err(Failure::usage)?)
    };
    let recording = Recording::read(BufReader::with_capacity(READ_BYTES, input))
        .map_err(|error| Failure::usage(anyhow!(error).context(name)))?;
    let options = Options {
        revocation_bound: args.revocation_bound,
        expect_settled: !args.no_settle,
        findings_per_rule_max: args.findings_max,
        ..Options::default()
    };
    let report = check_recording(&recording, &options);
    let seed = recording.header().seed;
    Ok(Outcome {
        summary: summary(seed, &report.counts),
        json: json!({ "seed": seed.to_string(), "counts": report.counts }),
        findings: report.findings,
        by_rule: report.by_rule,
        not_checked: Vec::new(),
        missed: 0,
        clean: "no guarantee was broken",
    })
}

fn summary(seed: u64, counts: &Counts) -> Vec<String> {
    let n = |count: u64| HumanCount(count);
    let mut lines = vec![
        format!("a recording of {} lines, seed {seed}", n(counts.lines)),
        format!(
            "{} clients on {} connections, {} teams with {} events, {} faults",
            n(counts.clients),
            n(counts.connections),
            n(counts.teams),
            n(counts.history_events),
            n(counts.faults),
        ),
        format!(
            "{} sends in {} attempts: {} accepted (of those {} duplicates), {} refused; {} sends of unknown outcome",
            n(counts.sends),
            n(counts.attempts),
            n(counts.accepted),
            n(counts.duplicates),
            n(counts.refused),
            n(counts.unknown),
        ),
        format!(
            "{} events shown in {} subscriptions, {} reads, {} second receipts, {} changes of members, {} settled",
            n(counts.events),
            n(counts.subscriptions),
            n(counts.reads),
            n(counts.stored),
            n(counts.membership_changes),
            n(counts.settled),
        ),
    ];
    if !counts.sent_after_removal_max.is_zero() {
        let seconds = counts.sent_after_removal_max.as_secs_f64();
        lines.push(format!("the last send of a removed user that was taken began {seconds:.3} s after the removal"));
    }
    lines
}
