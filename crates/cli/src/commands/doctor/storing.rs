//! What both kinds of installation say about the way from the log into the store.

use std::time::Duration;

use huddle_store::{DeadLetterReason, RecordedGap};

use super::{
    check::Outcome,
    finding::{Finding, Id},
};

/// How long the store is watched for a sign of movement: persistence writes several times a second.
pub(crate) const WATCH_MAX: Duration = Duration::from_secs(4);
/// Between two looks.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// Accepted events that wait to be stored beyond which readers notice.
const BEHIND_EVENTS: u64 = 10_000;

/// A partition as it was seen at the beginning and at the end of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) partition: u16,
    /// Events that waited at the beginning.
    pub(crate) waiting: u64,
    /// Whether some of them have been stored since.
    pub(crate) has_moved: bool,
}

/// Judges the partitions; `stalled_remedy` is what to do when one does not move.
pub(crate) fn judge(watched: &[Watched], stalled_remedy: &str) -> Outcome {
    let finding = |partition: &Watched| {
        let found = format!("{} accepted events wait to be stored", partition.waiting);
        let finding = if !partition.has_moved {
            Finding::problem(Id::StoringStalled, format!("{found}, and none was in {WATCH_MAX:?}"), stalled_remedy)
        } else if partition.waiting > BEHIND_EVENTS {
            let remedy = "wait and look again; if it does not shrink, look at the load of the database and its disk";
            Finding::warning(Id::StoringBehind, found, remedy)
        } else {
            return None;
        };
        Some(finding.about(format!("partition {}", partition.partition)))
    };
    let findings = watched.iter().filter(|partition| partition.waiting > 0).filter_map(finding).collect();
    let waiting: u64 = watched.iter().map(|partition| partition.waiting).sum();
    let fine = match waiting {
        0 => "everything that was accepted is stored".to_owned(),
        waiting => format!("being stored: {waiting} accepted events"),
    };
    Outcome::found_or(findings, Id::Storing, fine)
}

/// Judges dead letters by their reasons' names; `how_to_look` is a command.
pub(crate) fn dead_letters(counts: &[(String, u64)], how_to_look: &str) -> Outcome {
    let late = DeadLetterReason::LateDuplicate.as_str();
    let mut findings = Vec::new();
    for (reason, count) in counts.iter().filter(|(reason, count)| reason != late && *count > 0) {
        let found = format!("{count} with the reason `{reason}`");
        findings.push(if reason == DeadLetterReason::SeqTaken.as_str() {
            let remedy = format!(
                "find out what replaced the log (a restored backup, another cluster on the same database); look at them \
                 with {how_to_look}, and delete the rows once they are settled"
            );
            Finding::problem(Id::PositionTaken, found, remedy)
        } else {
            let remedy =
                format!("look at them with {how_to_look}; once they are settled, delete the rows and the warning ends");
            Finding::warning(Id::DeadLettersFound, found, remedy)
        });
    }
    let repeats = counts.iter().find(|(reason, _)| reason == late).map_or(0, |(_, count)| *count);
    let fine = match repeats {
        0 => "none".to_owned(),
        repeats => format!("none but {repeats} late repeats of messages that are stored"),
    };
    Outcome::found_or(findings, Id::DeadLetters, fine)
}

/// Judges the gaps of the log that are on record: `count` of them, of which `newest` are at hand; `how_to_look` is a
/// command.
pub(crate) fn log_gaps(count: u64, newest: &[RecordedGap], how_to_look: &str) -> Outcome {
    if count == 0 {
        return Outcome::ok(Id::LogGaps, "none");
    }
    let named: Vec<String> =
        newest.iter().map(|gap| format!("{} in partition {}", gap.gap, gap.partition.number())).collect();
    let more = count.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let found = format!("positions were missing from the log when it was stored: {}{more}", named.join(", "));
    let remedy = format!(
        "find out what the log has lost (a damaged disk of one server, entries that aged out before they were stored); look \
         at the gaps with {how_to_look}, and delete the rows once they are settled"
    );
    Finding::problem(Id::LogGapsFound, found, remedy).into()
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Partition, Seq, UnixMillis};
    use huddle_store::LogGap;

    use super::*;
    use crate::commands::doctor::finding::Severity;

    fn ids(outcome: Outcome) -> Vec<(Id, Severity)> {
        match outcome {
            Outcome::Found(findings) => findings.iter().map(|finding| (finding.id, finding.severity)).collect(),
            Outcome::Skipped(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn a_partition_that_moves_is_fine_and_one_that_does_not_is_stalled() {
        let judged = |waiting, has_moved| ids(judge(&[Watched { partition: 0, waiting, has_moved }], "x"))[0];
        assert_eq!(judged(0, false), (Id::Storing, Severity::Ok));
        assert_eq!(judged(5, true), (Id::Storing, Severity::Ok));
        assert_eq!(judged(5, false), (Id::StoringStalled, Severity::Problem));
        assert_eq!(judged(1_000_000, true), (Id::StoringBehind, Severity::Warning));
    }

    #[test]
    fn gaps_are_named_and_those_that_are_not_are_counted() {
        let gap = |after, before| RecordedGap {
            partition: Partition::new(1),
            gap: LogGap { after: Seq::new(after), before: Seq::new(before) },
            found_at: UnixMillis(0),
        };
        assert_eq!(ids(log_gaps(0, &[], "psql")), [(Id::LogGaps, Severity::Ok)]);
        let outcome = log_gaps(5, &[gap(7, 9), gap(2, 6)], "psql");
        let Outcome::Found(findings) = &outcome else { panic!("it is a finding") };
        let text = "positions were missing from the log when it was stored: 8 to 8 in partition 1, 3 to 5 in partition 1 \
                    and 3 more";
        assert_eq!(findings[0].found, text);
        assert_eq!(ids(outcome), [(Id::LogGapsFound, Severity::Problem)]);
    }

    #[test]
    fn late_repeats_are_harmless_and_taken_positions_an_alarm() {
        let judged = |reasons: &[(&str, u64)]| {
            let counts: Vec<_> = reasons.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
            ids(dead_letters(&counts, "psql"))
        };
        assert_eq!(judged(&[]), [(Id::DeadLetters, Severity::Ok)]);
        assert_eq!(judged(&[("late_duplicate", 9)]), [(Id::DeadLetters, Severity::Ok)]);
        let both = judged(&[("late_duplicate", 9), ("refused", 1), ("seq_taken", 2)]);
        assert_eq!(both, [(Id::DeadLettersFound, Severity::Warning), (Id::PositionTaken, Severity::Problem)]);
    }
}
