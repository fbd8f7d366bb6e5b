//! How findings are shown: a line per check for people, one JSON object for programs.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    check::{Outcome, Progress},
    finding::{Finding, Id, Severity},
};
use crate::terminal::escaped;

/// How often progress is told where a line cannot be rewritten.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// The width of the column with the names of checks.
const NAME_WIDTH: usize = 17;
/// What a rewritten status line holds at most, in characters.
const STATUS_WIDTH: usize = 78;

/// Shows outcomes as they come.
#[derive(Debug)]
pub(crate) struct Display {
    output: Output,
    is_status_shown: bool,
    last_line: Instant,
    last_text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// Nothing before the end.
    Nothing,
    /// Lines, with or without colours; a status line where standard error is a terminal.
    Lines { has_colours: bool, has_status: bool },
}

impl Display {
    pub(crate) fn new(is_json: bool) -> Self {
        let output = if is_json {
            Output::Nothing
        } else {
            let has_colours =
                io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            Output::Lines { has_colours, has_status: io::stderr().is_terminal() }
        };
        Self { output, is_status_shown: false, last_line: Instant::now(), last_text: None }
    }

    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(true)
    }

    /// A line that is no finding.
    pub(crate) fn say(&mut self, text: &str) {
        if self.output != Output::Nothing {
            self.clear_status();
            println!("{text}");
        }
    }

    /// What a check ended with.
    pub(crate) fn outcome(&mut self, check: Id, outcome: &Outcome) {
        let Output::Lines { has_colours, .. } = self.output else { return };
        self.clear_status();
        match outcome {
            Outcome::Found(findings) => {
                for finding in findings {
                    print!("{}", lines(check, finding, has_colours));
                }
            }
            Outcome::Skipped(reason) => {
                println!("{:9}{:NAME_WIDTH$} not checked: {}", "-", check.as_str(), escaped(reason));
            }
        }
    }

    /// What is still being checked.
    pub(crate) fn status(&mut self, waited_for: &[&str], progress: &Progress) {
        let Output::Lines { has_status, .. } = self.output else { return };
        let progress = progress.text();
        if has_status {
            let progress = progress.map(|text| format!(" ({text})")).unwrap_or_default();
            let text: String =
                format!("checking{progress}: {}", waited_for.join(", ")).chars().take(STATUS_WIDTH).collect();
            eprint!("\r\x1b[K{text}");
            let _ = io::stderr().flush();
            self.is_status_shown = true;
        } else if progress.is_some() && progress != self.last_text && self.last_line.elapsed() >= LINE_INTERVAL {
            eprintln!("checking: {}", progress.as_deref().unwrap_or_default());
            self.last_line = Instant::now();
            self.last_text = progress;
        }
    }

    fn clear_status(&mut self) {
        if self.is_status_shown {
            eprint!("\r\x1b[K");
            self.is_status_shown = false;
        }
    }
}

fn lines(check: Id, finding: &Finding, has_colours: bool) -> String {
    let Finding { id, severity, subject, found, remedy } = finding;
    let colour = match severity {
        Severity::Ok => "32",
        Severity::Warning => "33",
        Severity::Problem => "1;31",
    };
    let label = format!("{:9}", severity.as_str());
    let label = if has_colours { format!("\x1b[{colour}m{label}\x1b[0m") } else { label };
    let subject = subject.as_ref().map(|subject| format!("{}: ", escaped(subject))).unwrap_or_default();
    let name = check.as_str();
    let id = if *severity == Severity::Ok { String::new() } else { format!(" [{}]", id.as_str()) };
    let advice =
        remedy.as_ref().map(|remedy| format!("{:9}why: {}\n{:9}do:  {}\n", "", finding.id.why(), "", escaped(remedy)));
    format!("{label}{name:NAME_WIDTH$} {subject}{}{id}\n{}", escaped(found), advice.unwrap_or_default())
}

/// How many findings there are of each severity.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ok: usize,
    pub(crate) warnings: usize,
    pub(crate) problems: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    pub(crate) fn of(outcomes: &[(Id, Outcome)]) -> Self {
        let mut counts = Self::default();
        for (_, outcome) in outcomes {
            match outcome {
                Outcome::Skipped(_) => counts.skipped += 1,
                Outcome::Found(findings) => {
                    for finding in findings {
                        match finding.severity {
                            Severity::Ok => counts.ok += 1,
                            Severity::Warning => counts.warnings += 1,
                            Severity::Problem => counts.problems += 1,
                        }
                    }
                }
            }
        }
        counts
    }

    pub(crate) fn text(self) -> String {
        let counted = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let skipped =
            if self.skipped == 0 { String::new() } else { format!(", {} not made", counted(self.skipped, "check")) };
        format!("{}, {}, {} ok{skipped}", counted(self.problems, "problem"), counted(self.warnings, "warning"), self.ok)
    }
}

/// All of it as one object. See docs/reference/doctor.md.
pub(crate) fn json(installation: &str, outcomes: &[(Id, Outcome)]) -> Value {
    let counts = Counts::of(outcomes);
    let mut found = Vec::new();
    let mut skipped = Vec::new();
    for (check, outcome) in outcomes {
        match outcome {
            Outcome::Skipped(reason) => skipped.push(json!({"check": check.as_str(), "reason": reason})),
            Outcome::Found(findings) => found.extend(findings.iter().map(|finding| {
                json!({
                    "check": check.as_str(),
                    "id": finding.id.as_str(),
                    "severity": finding.severity,
                    "subject": finding.subject,
                    "found": finding.found,
                    "why": finding.id.why(),
                    "remedy": finding.remedy,
                })
            })),
        }
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "installation": installation,
        "problems": counts.problems,
        "warnings": counts.warnings,
        "ok": counts.ok,
        "findings": found,
        "skipped": skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_says_why_and_what_to_do_when_something_is_wrong() {
        let fine = Finding::ok(Id::Nats, "2 servers");
        assert_eq!(lines(Id::Nats, &fine, false), "ok       nats              2 servers\n");
        let bad = Finding::problem(Id::PartitionMissing, "it does\nnot exist", "run it").about("partition 3");
        let text = lines(Id::Log, &bad, false);
        let expected = "problem  log               partition 3: it does\\nnot exist [partition-missing]\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("why: teams") && text.contains("do:  run it"), "{text}");
        assert!(!text.contains('\u{1b}') && lines(Id::Log, &bad, true).starts_with("\u{1b}[1;31mproblem"));
    }

    #[test]
    fn what_was_not_checked_counts_as_neither_good_nor_bad() {
        let outcomes = [
            (Id::Nats, Outcome::from(Finding::problem(Id::NatsUnreachable, "gone", "start it"))),
            (Id::Log, Outcome::Skipped("no nats".to_owned())),
            (Id::Disk, Outcome::ok(Id::Disk, "much")),
        ];
        let counts = Counts::of(&outcomes);
        assert_eq!(counts, Counts { ok: 1, warnings: 0, problems: 1, skipped: 1 });
        assert_eq!(counts.text(), "1 problem, 0 warnings, 1 ok, 1 check not made");
        let json = json("cluster", &outcomes);
        assert_eq!((&json["problems"], &json["findings"][0]["severity"]), (&json!(1), &json!("problem")));
        assert_eq!(json["skipped"][0]["check"], "log");
    }
}
