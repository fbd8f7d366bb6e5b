//! When something was broken, as the recording marks it.

use std::{collections::HashMap, time::Duration};

use crate::recording::{Name, Note, Recording};

/// How long after a fault its effects may last: connections come back one by one.
const AFTERMATH: Duration = Duration::from_secs(30);
/// Where nothing is broken, everybody is told of a change within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// The stretches in which faults were under way.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// From and until, in microseconds since the beginning.
    stretches: Vec<(u64, u64)>,
}

impl Faults {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut open: HashMap<Name, Vec<u64>> = HashMap::new();
        let mut stretches = Vec::new();
        for line in recording.lines() {
            match line.note {
                Note::Fault { row, .. } => open.entry(row).or_default().push(line.at_us),
                Note::Healed { row } => {
                    let begun = open.remove(&row).unwrap_or_default();
                    stretches.extend(begun.into_iter().map(|from| (from, line.at_us)));
                }
                _ => {}
            }
        }
        stretches.extend(open.into_values().flatten().map(|from| (from, u64::MAX)));
        Self { stretches }
    }

    /// Whether nothing was broken at that time, shortly before, and until everybody knew of what happened then.
    pub(crate) fn is_calm_around(&self, at_us: u64) -> bool {
        let earliest = at_us.saturating_sub(micros(AFTERMATH));
        let latest = at_us.saturating_add(micros(TOLD_WITHIN));
        self.stretches.iter().all(|(from, until)| *from > latest || *until < earliest)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
