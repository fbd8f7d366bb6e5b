//! Decides G6, a removal is a fence: a user who was removed at N is shown nothing after N, on whatever connection, before
//! being added again.

use crate::{
    facts::{Facts, Membership, Read, Standing, Subscription},
    findings::{Findings, Place},
    recording::{EventNote, Name},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for subscription in facts.subscriptions.iter() {
        for (event, line) in subscription.events() {
            check_shown(facts, findings, subscription, event, line);
        }
    }
    for read in &facts.reads {
        check_read(facts, findings, read);
    }
}

fn check_shown(
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
    subscription: &Subscription<'_>,
    event: &EventNote<Name>,
    line: usize,
) {
    let Some((removal, added_again)) = removed(facts, event, subscription.user) else { return };
    // A member is shown what happened before, the time of not being one included.
    let began_as_member = added_again.is_some_and(|added| subscription.last_seq.is_some_and(|last| last >= added.seq));
    if began_as_member || is_in_force(facts, added_again, line) {
        return;
    }
    let (team, client, seq) = (subscription.team, Some(subscription.client), Some(event.seq));
    let lines = [subscription.line, line];
    findings.add(Rule::Leaked, Place { team, client, seq, lines: &lines }, || {
        let (client, at) = (facts.text(subscription.client), event.seq);
        format!("{client} was shown {at} after its user's removal at {}", removal.seq)
    });
}

/// A page is not fenced by position but by time: whether the user is a member is asked before it is read.
fn check_read(facts: &Facts<'_>, findings: &mut Findings<'_>, read: &Read<'_>) {
    for event in read.events {
        let Some((removal, added_again)) = removed(facts, event, read.user) else { continue };
        let Some(in_force_us) = removal.in_force_us() else { continue };
        let bound_us = u64::try_from(facts.options.revocation_bound.as_micros()).unwrap_or(u64::MAX);
        let is_late = facts.at_us(read.asked) > in_force_us.saturating_add(bound_us);
        if !is_late || is_in_force(facts, added_again, read.answered) {
            continue;
        }
        let lines = [read.asked, read.answered];
        let place = Place { team: read.team, client: Some(read.client), seq: Some(event.seq), lines: &lines };
        findings.add(Rule::Leaked, place, || {
            let (client, at) = (facts.text(read.client), event.seq);
            format!("{client} could read {at} long after its user's removal at {}", removal.seq)
        });
    }
}

/// The removal that lies between `user` and `event`, and the addition that follows, if any.
fn removed(facts: &Facts<'_>, event: &EventNote<Name>, user: Option<Name>) -> Option<(Membership, Option<Membership>)> {
    match facts.teams.get(event.team)?.members.standing(user?, event.seq) {
        Standing::Removed { removal, added_again } => Some((removal, added_again)),
        Standing::Member | Standing::NotYet => None,
    }
}

/// Whether the addition was known to somebody when `line` was written.
fn is_in_force(facts: &Facts<'_>, added_again: Option<Membership>, line: usize) -> bool {
    added_again.and_then(|added| added.known_us()).is_some_and(|known_us| known_us <= facts.at_us(line))
}
