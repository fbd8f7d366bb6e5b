//! Decides G2 and G3 at the end: after healing, every client has everything of its teams, from its own cursor.

use super::reach;
use crate::{
    facts::{Facts, Follower, Settled},
    findings::{Findings, Place},
    report::Rule,
};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    let by_follower = reach::of_followers(facts);
    for follower in facts.subscriptions.followers() {
        match facts.settled.get(follower) {
            Some(settled) => {
                let reached = by_follower.get(follower).and_then(|reach| reach.end);
                check_settled(facts, findings, *follower, *settled, reached);
            }
            None if facts.options.expect_settled => check_unsettled(facts, findings, *follower),
            None => {}
        }
    }
}

fn check_settled(
    facts: &Facts<'_>,
    findings: &mut Findings<'_>,
    follower: Follower,
    settled: Settled,
    reached: Option<u64>,
) {
    let (client, team) = follower;
    let Settled { cursor, sees, line } = settled;
    if let Some(reached) = reached.filter(|reached| cursor > *reached) {
        let place = Place { team, client: Some(client), seq: Some(cursor), lines: &[line] };
        findings.add(Rule::Unsettled, place, || {
            format!("{} settled at {cursor}, and was given everything up to {reached} only", facts.text(client))
        });
    }
    if is_gone(facts, follower) {
        return;
    }
    let mut rest = facts.rows_between(team, cursor, u64::MAX, sees);
    if let Some(first) = rest.next() {
        let (missing, last) = rest.fold((1, first), |(count, _), row| (count + 1, row));
        let lines = [line, first.line];
        let place = Place { team, client: Some(client), seq: Some(first.event.seq), lines: &lines };
        findings.add(Rule::Unsettled, place, || {
            let (client, end) = (facts.text(client), last.event.seq);
            format!("{client} settled at {cursor}, and history goes on to {end}: {missing} events are missing")
        });
    }
}

fn check_unsettled(facts: &Facts<'_>, findings: &mut Findings<'_>, follower: Follower) {
    let (client, team) = follower;
    let Some(last) = facts.subscriptions.of(follower).next_back() else { return };
    // Who is a member is told by history alone.
    let Some(history) = facts.teams.get(team) else { return };
    let was_removed = last.user.is_some_and(|user| history.members.was_removed(user));
    // Whoever lost a team by being removed need not come back to it.
    if is_gone(facts, follower) || (last.has_ended && was_removed) {
        return;
    }
    findings.add(Rule::Unsettled, Place { team, client: Some(client), seq: last.end(), lines: &[last.line] }, || {
        let client = facts.text(client);
        match last.end() {
            Some(seq) => format!("{client} did not settle; it was given everything up to {seq}"),
            None => format!("{client} did not settle; it was given nothing"),
        }
    });
}

/// Whether the client's user is no member at the end.
fn is_gone(facts: &Facts<'_>, follower: Follower) -> bool {
    let user = facts.subscriptions.of(follower).next_back().and_then(|subscription| subscription.user);
    let team = facts.teams.get(follower.1);
    user.zip(team).is_some_and(|(user, team)| team.members.is_outside_at_end(user))
}
