//! What a check found.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// The outcome of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What is wrong: by rule, in the order of [`Rule::ALL`], at most as many of each as the options say, by line.
    pub findings: Vec<Finding>,
    /// How many findings there are of each rule that has any, those included that are not among `findings`.
    pub by_rule: Vec<RuleCount>,
    /// What was checked.
    pub counts: Counts,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.by_rule.is_empty()
    }

    /// How many findings there are in all.
    pub fn total(&self) -> u64 {
        self.by_rule.iter().map(|count| count.findings).sum()
    }
}

/// How many findings a rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule.
    pub rule: Rule,
    /// The findings, at least 1.
    pub findings: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What rule it breaks.
    pub rule: Rule,
    /// The team.
    pub team: String,
    /// Who did or saw it; `None` where it is between history and itself.
    pub client: Option<String>,
    /// The position that it is about, where there is one.
    pub seq: Option<u64>,
    /// What is wrong, for people.
    pub text: String,
    /// The lines of the recording that show it, counted from 1, in the order of the text; empty for a live team.
    pub lines: Vec<usize>,
}

/// What must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Acknowledged, and not in history.
    Lost,
    /// The second receipt for something that is not in history.
    StoredLie,
    /// One thing twice.
    Doubled,
    /// In history, and never sent.
    Unsent,
    /// One key, two contents.
    Conflict,
    /// Not in order.
    Reordered,
    /// Two see different things at one position.
    Disagreement,
    /// Something was left out without a word.
    Gap,
    /// A client does not have everything at the end.
    Unsettled,
    /// A read without something that it must have.
    StaleRead,
    /// Shown to somebody who is no member.
    Leaked,
    /// Taken from somebody who is no member.
    SentAfterRemoval,
    /// The recording does not say enough to judge, or contradicts itself.
    Unjudged,
}

impl Rule {
    /// All rules, in the order of reports.
    pub const ALL: [Self; 13] = [
        Self::Lost,
        Self::StoredLie,
        Self::Doubled,
        Self::Unsent,
        Self::Conflict,
        Self::Reordered,
        Self::Disagreement,
        Self::Gap,
        Self::Unsettled,
        Self::StaleRead,
        Self::Leaked,
        Self::SentAfterRemoval,
        Self::Unjudged,
    ];

    /// The rule's stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::StoredLie => "stored-lie",
            Self::Doubled => "doubled",
            Self::Unsent => "unsent",
            Self::Conflict => "conflict",
            Self::Reordered => "reordered",
            Self::Disagreement => "disagreement",
            Self::Gap => "gap",
            Self::Unsettled => "unsettled",
            Self::StaleRead => "stale-read",
            Self::Leaked => "leaked",
            Self::SentAfterRemoval => "sent-after-removal",
            Self::Unjudged => "unjudged",
        }
    }

    /// The guarantee that the rule decides; `None` for what decides none.
    pub fn guarantee(self) -> Option<&'static str> {
        match self {
            Self::Lost | Self::StoredLie => Some("G1: nothing acknowledged is lost"),
            Self::Doubled | Self::Reordered | Self::Disagreement | Self::Gap => {
                Some("G2: every member sees each event exactly once, in one order")
            }
            Self::Unsettled => Some("G3: a cursor brings everything after it"),
            Self::Unsent | Self::Conflict => Some("G4: a retry never duplicates, and one key has one message"),
            Self::StaleRead => Some("G5: read your writes"),
            Self::Leaked | Self::SentAfterRemoval => Some("G6: a removal is a fence"),
            Self::Unjudged => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines, the first one not counted.
    pub lines: u64,
    /// Clients that connected.
    pub clients: u64,
    /// Connections.
    pub connections: u64,
    /// Teams with a history.
    pub teams: u64,
    /// Sends, each once however often it was tried.
    pub sends: u64,
    /// Attempts to send.
    pub attempts: u64,
    /// First receipts.
    pub accepted: u64,
    /// Of those, the ones that say that an earlier attempt was taken.
    pub duplicates: u64,
    /// Refusals of sends.
    pub refused: u64,
    /// Sends that never got a receipt: history may have them or not.
    pub unknown: u64,
    /// Second receipts.
    pub stored: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Events that clients were shown.
    pub events: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Events in histories.
    pub history_events: u64,
    /// Acknowledged changes of members.
    pub membership_changes: u64,
    /// Faults.
    pub faults: u64,
    /// Clients' words that they have settled.
    pub settled: u64,
    /// The longest time from the acknowledgement of a removal to a send of the removed user that was taken; 0 = none was.
    #[serde(rename = "sent_after_removal_max_ms", serialize_with = "milliseconds")]
    pub sent_after_removal_max: Duration,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rules_are_listed_in_their_order_under_different_names() {
        assert!(Rule::ALL.is_sorted());
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index);
            assert!(Rule::ALL[..index].iter().all(|other| other.name() != rule.name()));
        }
    }
}
