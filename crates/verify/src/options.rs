//! What is expected of a run.

use std::time::Duration;

/// How a recording is judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long after the acknowledgement of a removal the removed user's sends and reads may still be answered.
    /// Default: 60 s, after which memberships are checked again when all else fails.
    pub revocation_bound: Duration,
    /// Whether every client that follows a team must say at the end that it has settled. Default: yes.
    pub expect_settled: bool,
    /// At most this many findings of each rule are in the report; all are counted. Default: 100.
    pub findings_per_rule_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { revocation_bound: Duration::from_mins(1), expect_settled: true, findings_per_rule_max: 100 }
    }
}
