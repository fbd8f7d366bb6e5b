//! What is expected of a run.

use std::time::Duration;

/// How a recording is judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long after the acknowledgement of a removal the removed user's sends and reads may still be answered.
    /// Default: 60 s, after which memberships are checked again when all else fails.
    pub revocation_bound: Duration,
    /// The same of removals that were acknowledged while nothing was broken: none of the recording's faults was under way
    /// in the 30 s before and the 2 s after it, so that everybody was told of it. Default: none, the bound above holds.
    pub calm_revocation_bound: Option<Duration>,
    /// Whether every client that follows a team must say at the end that it has settled. Default: yes.
    pub expect_settled: bool,
    /// At most this many findings of each rule are in the report; all are counted. Default: 100.
    pub findings_per_rule_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            revocation_bound: Duration::from_mins(1),
            calm_revocation_bound: None,
            expect_settled: true,
            findings_per_rule_max: 100,
        }
    }
}
