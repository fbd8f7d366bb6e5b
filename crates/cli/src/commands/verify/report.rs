//! How an outcome is shown.

use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use huddle_verify::{Finding, RuleCount};
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    terminal::{escaped, escaped_json},
};

/// Most lines of a recording that a finding names in the text.
const LINES_SHOWN_MAX: usize = 6;

/// What a check came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was checked, for people: a line each.
    pub(super) summary: Vec<String>,
    /// The same for machines: an object.
    pub(super) json: Value,
    pub(super) findings: Vec<Finding>,
    pub(super) by_rule: Vec<RuleCount>,
    /// What could not be checked, and why.
    pub(super) not_checked: Vec<String>,
    /// How many of those were to be checked by the configuration or the command line.
    pub(super) missed: usize,
    /// What it means when nothing is wrong.
    pub(super) clean: &'static str,
}

impl Outcome {
    /// Prints the outcome; an error when something is wrong, or when something that was to be checked could not be.
    pub(super) fn print(self, as_json: bool) -> Result<(), Failure> {
        let total: u64 = self.by_rule.iter().map(|count| count.findings).sum();
        let text = if as_json { self.json_text(total) } else { self.text(total) };
        match io::stdout().lock().write_all(text.as_bytes()) {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.context("cannot write to standard output")?,
        }
        match total {
            0 if self.missed > 0 => Err(Failure::usage(anyhow!("not everything could be checked that was to be"))),
            0 => Ok(()),
            1 => Err(Failure::failed(anyhow!("found 1 thing that must not be"))),
            total => Err(Failure::failed(anyhow!("found {} things that must not be", HumanCount(total)))),
        }
    }

    fn text(&self, total: u64) -> String {
        let mut text = String::new();
        let mut say = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        for line in &self.summary {
            say(&escaped(line));
        }
        for reason in &self.not_checked {
            say(&format!("not checked: {}", escaped(reason)));
        }
        for RuleCount { rule, findings } in &self.by_rule {
            say("");
            let guarantee = rule.guarantee().map(|guarantee| format!(" ({guarantee})")).unwrap_or_default();
            say(&format!("{} {rule}{guarantee}", HumanCount(*findings)));
            let shown = self.findings.iter().filter(|finding| finding.rule == *rule);
            let mut more = *findings;
            for finding in shown {
                say(&line_of(finding));
                more -= 1;
            }
            if more > 0 {
                say(&format!("  … and {} more", HumanCount(more)));
            }
        }
        match (total, self.missed) {
            (0, 0) => say(self.clean),
            (0, _) => say("incomplete: nothing is wrong in what was checked, but not all could be that was to be"),
            _ => {}
        }
        text
    }

    fn json_text(&self, total: u64) -> String {
        let mut object = json!({
            "clean": total == 0 && self.missed == 0,
            "findings": self.findings,
            "by_rule": self.by_rule,
            "not_checked": self.not_checked,
            "complete": self.missed == 0,
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), &self.json) {
            object.extend(more.clone());
        }
        escaped_json(&object.to_string()) + "\n"
    }
}

fn line_of(finding: &Finding) -> String {
    let mut text = format!("  {}: {}", escaped(&finding.team), escaped(&finding.text));
    let lines: Vec<String> = finding.lines.iter().take(LINES_SHOWN_MAX).map(ToString::to_string).collect();
    match lines.as_slice() {
        [] => {}
        [line] => text.extend([" (line ", line.as_str(), ")"]),
        lines => text.extend([" (lines ", lines.join(", ").as_str(), ")"]),
    }
    text
}

#[cfg(test)]
mod tests {
    use huddle_verify::Rule;

    use super::*;

    fn outcome(findings: u64) -> Outcome {
        let finding = Finding {
            rule: Rule::Lost,
            team: "demo".into(),
            client: Some("ann-1".into()),
            seq: Some(7),
            text: "history has nothing there\u{1b}[2J".into(),
            lines: vec![17, 991],
        };
        Outcome {
            summary: vec!["a recording of 2 lines".into()],
            json: json!({ "seed": "42" }),
            findings: if findings > 0 { vec![finding] } else { Vec::new() },
            by_rule: (findings > 0).then_some(RuleCount { rule: Rule::Lost, findings }).into_iter().collect(),
            not_checked: vec!["the log".into()],
            missed: 0,
            clean: "no guarantee was broken",
        }
    }

    #[test]
    fn the_text_tells_what_is_wrong_where_and_how_often() {
        let text = outcome(3).text(3);
        assert_eq!(
            text,
            "a recording of 2 lines\nnot checked: the log\n\n3 lost (G1: nothing acknowledged is lost)\n  \
             demo: history has nothing there\\u{1b}[2J (lines 17, 991)\n  … and 2 more\n"
        );
        assert!(outcome(0).text(0).ends_with("no guarantee was broken\n"));
    }

    #[test]
    fn what_was_to_be_checked_and_could_not_be_is_no_clean_outcome() {
        let outcome = Outcome { missed: 1, ..outcome(0) };
        let text = outcome.text(0);
        assert!(text.contains("not checked: the log\nincomplete:") && !text.contains("no guarantee"), "{text}");
        let value: Value = serde_json::from_str(&outcome.json_text(0)).unwrap();
        assert_eq!((&value["clean"], &value["complete"]), (&json!(false), &json!(false)));
        assert!(outcome.print(true).is_err());
    }

    #[test]
    fn the_json_is_one_object() {
        let value: Value = serde_json::from_str(&outcome(3).json_text(3)).unwrap();
        assert_eq!((&value["clean"], &value["seed"]), (&json!(false), &json!("42")));
        assert_eq!(value["by_rule"], json!([{ "rule": "lost", "findings": 3 }]));
        assert_eq!(value["findings"][0]["lines"], json!([17, 991]));
        let value: Value = serde_json::from_str(&outcome(0).json_text(0)).unwrap();
        assert_eq!(value["clean"], json!(true));
    }
}
