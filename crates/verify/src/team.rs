//! What one team's history shows by itself, or beside the log and the list of members.
//!
//! Nothing is known of what clients sent and saw: whether anything acknowledged is missing, or was shown to somebody, is
//! for a recording to tell.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    time::Duration,
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    findings::Tally,
    recording::{EventNote, kind},
    report::{Finding, Rule, RuleCount},
};

/// The outcome of a [`Check`].
#[derive(Debug, Clone, Serialize)]
pub struct TeamReport {
    /// What is wrong, by rule.
    pub findings: Vec<Finding>,
    /// How many findings there are of each rule that has any.
    pub by_rule: Vec<RuleCount>,
    /// What was checked.
    pub counts: TeamCounts,
}

/// What was checked of a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TeamCounts {
    /// Events in history.
    pub events: u64,
    /// Of those, messages.
    pub messages: u64,
    /// The last position; 0 when there is none.
    pub last_seq: u64,
    /// Members at the end, as the events tell.
    pub members: u64,
    /// Messages of users who had been removed a moment before, within the bound.
    pub just_after_removal: u64,
    /// Events of the log that were compared.
    pub logged: u64,
    /// Of those, retries that came after the log had forgotten their keys: history shows the first one.
    pub late_duplicates: u64,
}

/// What is known of a member, or a former one.
#[derive(Debug)]
struct Member {
    is_member: bool,
    /// When that came to be, in milliseconds since 1970-01-01T00:00:00Z.
    since_ms: i64,
}

/// Checks one team. Takes about 50 bytes of memory an event.
#[derive(Debug)]
pub struct Check {
    team: String,
    revocation_bound: Duration,
    tally: Tally,
    counts: TeamCounts,
    /// Position and fingerprint of each event, ascending.
    rows: Vec<(u64, u64)>,
    /// Where each key stands. Keys are told apart by half a SHA-256, which is never the same for two.
    keys: HashMap<[u8; 16], u64>,
    members: HashMap<String, Member>,
    /// How many rows the comparison with the log has passed.
    compared: usize,
}

impl Check {
    /// A check of `team`. A removed user's messages may be taken for `revocation_bound` after the removal.
    pub fn new(team: impl Into<String>, revocation_bound: Duration, findings_per_rule_max: usize) -> Self {
        Self {
            team: team.into(),
            revocation_bound,
            tally: Tally::new(findings_per_rule_max),
            counts: TeamCounts::default(),
            rows: Vec::new(),
            keys: HashMap::new(),
            members: HashMap::new(),
            compared: 0,
        }
    }

    /// Takes the next event of history, as it is shown there, with its time in milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub fn take(&mut self, event: &EventNote, time_ms: i64) {
        self.counts.events += 1;
        self.check_place(event);
        if let Some(client_id) = &event.client_id {
            let key = key(&event.sender, client_id);
            match self.keys.get(&key).copied() {
                Some(first) => self.add(Rule::Doubled, event.seq, || {
                    format!("{}'s {client_id} stands at {first} and again at {}", event.sender, event.seq)
                }),
                None => {
                    self.keys.insert(key, event.seq);
                }
            }
        }
        self.check_member(event, time_ms);
        if event.seq > self.counts.last_seq {
            self.rows.push((event.seq, fingerprint(event)));
            self.counts.last_seq = event.seq;
        }
    }

    fn check_place(&mut self, event: &EventNote) {
        let (seq, last) = (event.seq, self.counts.last_seq);
        if self.counts.events == 1 && event.kind != kind::TEAM_CREATED {
            self.add(Rule::Gap, seq, || format!("the first event, at {seq}, is not the team's creation"));
        }
        if seq == last {
            self.add(Rule::Doubled, seq, || format!("position {seq} is shown twice"));
        } else if seq < last {
            self.add(Rule::Reordered, seq, || format!("{seq} is shown after {last}"));
        } else if let Some(prev_seq) = event.prev_seq.filter(|prev_seq| *prev_seq != 0 && *prev_seq != last) {
            self.add(Rule::Gap, seq, || {
                format!("{seq} says that {prev_seq} comes before it, and {last} is shown there")
            });
        }
    }

    fn check_member(&mut self, event: &EventNote, time_ms: i64) {
        let seq = event.seq;
        match (event.kind.as_str(), &event.subject) {
            (kind::POSTED, _) => {
                self.counts.messages += 1;
                let sender = &event.sender;
                match self.members.get(sender) {
                    Some(Member { is_member: true, .. }) => {}
                    Some(Member { is_member: false, since_ms }) => {
                        let after_ms = u64::try_from(time_ms.saturating_sub(*since_ms)).unwrap_or(0);
                        let after = Duration::from_millis(after_ms);
                        if after <= self.revocation_bound {
                            self.counts.just_after_removal += 1;
                        } else {
                            self.add(Rule::SentAfterRemoval, seq, || {
                                let seconds = after.as_secs_f64();
                                format!("{sender} was removed, and a message of theirs stands at {seq}, {seconds:.1} s later")
                            });
                        }
                    }
                    None => self.add(Rule::SentAfterRemoval, seq, || {
                        format!("{sender}, who had never been added, has a message at {seq}")
                    }),
                }
            }
            (kind::TEAM_CREATED | kind::MEMBER_ADDED, Some(user)) => {
                self.members.insert(user.clone(), Member { is_member: true, since_ms: time_ms });
            }
            (kind::MEMBER_REMOVED, Some(user)) => {
                self.members.insert(user.clone(), Member { is_member: false, since_ms: time_ms });
            }
            _ => {}
        }
    }

    /// The last position that was taken; 0 when there is none.
    pub fn last_seq(&self) -> u64 {
        self.counts.last_seq
    }

    /// The positions that were taken, ascending: the `index`-th of [`len`](Self::len).
    pub fn position(&self, index: usize) -> Option<u64> {
        self.rows.get(index).map(|(seq, _)| *seq)
    }

    /// How many positions were taken.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no position was taken.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Compares the members that the events make with `listed`, the directory's.
    pub fn compare_members(&mut self, listed: &BTreeSet<String>) {
        let members = self.members.iter().filter(|(_, member)| member.is_member);
        let members: BTreeSet<String> = members.map(|(user, _)| user.clone()).collect();
        for user in members.difference(listed) {
            self.add(Rule::Disagreement, self.counts.last_seq, || {
                format!("{user} is a member by the team's events, and the directory does not list them")
            });
        }
        for user in listed.difference(&members) {
            self.add(Rule::Disagreement, self.counts.last_seq, || {
                format!("the directory lists {user}, who is no member by the team's events")
            });
        }
    }

    /// Begins the comparison with the log, which reaches back to `after` (exclusive).
    pub fn begin_log(&mut self, after: u64) {
        self.compared = self.rows.partition_point(|(seq, _)| *seq <= after);
    }

    /// Takes the next event of the log; they ascend.
    pub fn take_logged(&mut self, event: &EventNote) {
        self.counts.logged += 1;
        let seq = event.seq;
        self.pass_rows_below(seq);
        match self.rows.get(self.compared) {
            Some((row, stored)) if *row == seq => {
                if *stored != fingerprint(event) {
                    self.add(Rule::Disagreement, seq, || format!("log and history have different events at {seq}"));
                }
                self.compared += 1;
            }
            _ => {
                let client_id = event.client_id.as_deref().unwrap_or_default();
                let first = self.keys.get(&key(&event.sender, client_id)).copied();
                // What comes before the one in history is no retry of it.
                match first.filter(|first| *first < seq).and_then(|first| self.stored(first)) {
                    Some((first, stored)) if stored != fingerprint(event) => self.add(Rule::Conflict, seq, || {
                        format!(
                            "the log has {}'s {client_id} at {seq} with another content than at {first}",
                            event.sender
                        )
                    }),
                    Some(_) => self.counts.late_duplicates += 1,
                    None => self.add(Rule::Lost, seq, || {
                        format!("the log has {}'s {client_id} at {seq}, and history does not", event.sender)
                    }),
                }
            }
        }
    }

    /// The row at `seq`: position and fingerprint.
    fn stored(&self, seq: u64) -> Option<(u64, u64)> {
        self.rows.binary_search_by_key(&seq, |(row, _)| *row).ok().map(|index| self.rows[index])
    }

    /// Ends the comparison with the log, of which all up to `through` was taken.
    pub fn end_log(&mut self, through: u64) {
        self.pass_rows_below(through.saturating_add(1));
    }

    fn pass_rows_below(&mut self, end: u64) {
        while let Some((row, _)) = self.rows.get(self.compared).copied().filter(|(row, _)| *row < end) {
            self.add(Rule::Disagreement, row, || format!("history has an event at {row}, and the log has none there"));
            self.compared += 1;
        }
    }

    /// What was found.
    pub fn finish(mut self) -> TeamReport {
        self.counts.members = self.members.values().filter(|member| member.is_member).count() as u64;
        let (findings, by_rule) = self.tally.finish();
        TeamReport { findings, by_rule, counts: self.counts }
    }

    fn add(&mut self, rule: Rule, seq: u64, text: impl FnOnce() -> String) {
        let Self { team, tally, .. } = self;
        tally.add(rule, || Finding {
            rule,
            team: team.clone(),
            client: None,
            seq: Some(seq),
            text: text(),
            lines: Vec::new(),
        });
    }
}

fn key(sender: &str, client_id: &str) -> [u8; 16] {
    let mut text = String::with_capacity(sender.len() + client_id.len() + 1);
    // Writing into memory does not fail; neither id holds a slash.
    let _ = write!(text, "{sender}/{client_id}");
    let mut key = [0; 16];
    key.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    key
}

/// Of everything but the positions, which the log and history count differently.
fn fingerprint(event: &EventNote) -> u64 {
    let fields = [
        Some(&event.sender),
        event.client_id.as_ref(),
        event.digest.as_ref(),
        Some(&event.kind),
        event.subject.as_ref(),
    ];
    let mut sha256 = Sha256::new();
    for field in fields {
        sha256.update(field.map_or("", String::as_str).as_bytes());
        sha256.update([0]);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&sha256.finalize()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_mins(1);

    fn event(seq: u64, prev_seq: u64, sender: &str, kind: &str, about: &str) -> EventNote {
        let is_posted = kind == kind::POSTED;
        EventNote {
            team: "demo".into(),
            seq,
            prev_seq: Some(prev_seq),
            sender: sender.into(),
            client_id: Some(format!("c{seq}")),
            digest: is_posted.then(|| about.to_owned()),
            kind: kind.into(),
            subject: (!is_posted).then(|| about.to_owned()),
        }
    }

    fn history() -> Vec<EventNote> {
        vec![
            event(10, 0, "service", kind::TEAM_CREATED, "ann"),
            event(11, 10, "service", kind::MEMBER_ADDED, "bob"),
            event(13, 11, "ann", kind::POSTED, "one"),
            event(14, 13, "bob", kind::POSTED, "two"),
            event(20, 14, "ann", kind::MEMBER_REMOVED, "bob"),
            event(21, 20, "bob", kind::POSTED, "late"),
        ]
    }

    /// One event a second.
    fn taken(events: &[EventNote]) -> Check {
        let mut check = Check::new("demo", BOUND, 10);
        for (second, event) in (0..).zip(events) {
            check.take(event, second * 1_000);
        }
        check
    }

    fn broken(check: Check) -> Vec<Rule> {
        check.finish().by_rule.iter().map(|count| count.rule).collect()
    }

    #[test]
    fn a_whole_history_is_clean_beside_log_and_directory() {
        let mut check = taken(&history());
        check.compare_members(&["ann".to_owned()].into());
        check.begin_log(11);
        for event in &history()[2..] {
            check.take_logged(event);
        }
        // A retry long after: the log had forgotten the key.
        check.take_logged(&EventNote { client_id: Some("c13".into()), ..event(22, 21, "ann", kind::POSTED, "one") });
        check.end_log(22);
        let report = check.finish();
        assert!(report.by_rule.is_empty(), "{report:?}");
        let TeamCounts { events, messages, last_seq, members, just_after_removal, logged, late_duplicates } =
            report.counts;
        assert_eq!((events, messages, last_seq, members), (6, 3, 21, 1));
        assert_eq!((just_after_removal, logged, late_duplicates), (1, 5, 1));
    }

    #[test]
    fn each_fault_of_a_history_is_found() {
        type Case = (&'static str, fn(&mut Vec<EventNote>), &'static [Rule]);
        let cases: &[Case] = &[
            ("an event is missing", |events| drop(events.remove(2)), &[Rule::Gap]),
            ("the beginning is missing", |events| drop(events.remove(0)), &[Rule::Gap, Rule::SentAfterRemoval]),
            ("two are swapped", |events| events.swap(2, 3), &[Rule::Reordered, Rule::Gap]),
            ("a position comes twice", |events| events.insert(2, events[1].clone()), &[Rule::Doubled]),
            ("a key comes twice", |events| events[5].client_id = Some("c14".into()), &[Rule::Doubled]),
            ("a stranger posts", |events| events[2].sender = "eve".into(), &[Rule::SentAfterRemoval]),
        ];
        for (what, doctor, rules) in cases {
            let mut events = history();
            doctor(&mut events);
            assert_eq!(broken(taken(&events)), *rules, "{what}");
        }
    }

    #[test]
    fn messages_long_after_a_removal_are_found() {
        let mut check = Check::new("demo", BOUND, 10);
        for (minute, event) in (0..).zip(&history()) {
            check.take(event, minute * 61_000);
        }
        assert_eq!(broken(check), [Rule::SentAfterRemoval]);
    }

    #[test]
    fn differences_to_the_directory_are_found() {
        let mut check = taken(&history());
        check.compare_members(&["bob".to_owned()].into());
        assert_eq!(check.finish().by_rule, [RuleCount { rule: Rule::Disagreement, findings: 2 }]);
    }

    #[test]
    fn differences_to_the_log_are_found() {
        type Case = (&'static str, fn(&mut Vec<EventNote>), &'static [Rule]);
        let cases: &[Case] = &[
            ("history lacks one", |logged| logged.push(event(30, 21, "ann", kind::POSTED, "three")), &[Rule::Lost]),
            ("the log lacks one", |logged| drop(logged.remove(3)), &[Rule::Disagreement]),
            ("the log lacks the last", |logged| drop(logged.pop()), &[Rule::Disagreement]),
            ("the contents differ", |logged| logged[3].digest = Some("other".into()), &[Rule::Disagreement]),
            (
                "history has the retry instead of the first one",
                |logged| {
                    let first =
                        EventNote { client_id: Some("c14".into()), ..event(12, 11, "bob", kind::POSTED, "two") };
                    logged.insert(2, first);
                },
                &[Rule::Lost],
            ),
            (
                "a late retry has another content",
                |logged| {
                    let late =
                        EventNote { client_id: Some("c13".into()), ..event(22, 21, "ann", kind::POSTED, "other") };
                    logged.push(late);
                },
                &[Rule::Conflict],
            ),
        ];
        for (what, doctor, rules) in cases {
            let mut check = taken(&history());
            let mut logged = history();
            doctor(&mut logged);
            check.begin_log(0);
            for event in &logged {
                check.take_logged(event);
            }
            check.end_log(30);
            assert_eq!(broken(check), *rules, "{what}");
        }
    }
}
