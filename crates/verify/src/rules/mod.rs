//! One file per rule; each says which guarantee it decides.

mod conflict;
mod disagreement;
mod doubled;
mod gap;
mod leaked;
mod lost;
mod reach;
mod reordered;
mod sent_after_removal;
mod stale_read;
mod stored_lie;
mod unjudged;
mod unsent;
mod unsettled;

use crate::{
    facts::{Facts, Key},
    findings::Findings,
};

pub(crate) use self::sent_after_removal::longest as sent_after_removal_max;

/// Applies every rule.
pub(crate) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    let rules = [
        lost::check,
        stored_lie::check,
        doubled::check,
        unsent::check,
        conflict::check,
        reordered::check,
        disagreement::check,
        gap::check,
        unsettled::check,
        stale_read::check,
        leaked::check,
        sent_after_removal::check,
        unjudged::check,
    ];
    for rule in rules {
        rule(facts, findings);
    }
}

/// Whether history has the message of `key` at `seq`. True where there is no history to look into.
fn is_kept(facts: &Facts<'_>, key: Key, seq: u64) -> bool {
    let Some(team) = facts.teams.get(key.team) else { return true };
    let row = team.row(seq).map(|row| row.event);
    row.is_some_and(|row| row.sender == key.sender && row.client_id == Some(key.client_id))
}
