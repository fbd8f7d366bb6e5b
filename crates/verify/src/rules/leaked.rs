//! Decides G6, a removal is a fence, and so is not being a member at all: a user who was removed at N is shown nothing after
//! N, on whatever connection, before being added again, and whoever was not added is shown nothing.

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
    let Some(outside) = outside(facts, event, subscription.user) else { return };
    // A member is shown what happened before, the time of not being one included.
    let begun_at = subscription.begun_at();
    let began_as_member = outside.added.is_some_and(|added| begun_at.is_some_and(|begun| begun >= added.seq));
    if began_as_member || is_in_force(facts, outside.added, line) {
        return;
    }
    // A subscription that ended before it said where it began may have begun with a member, whom nobody had seen added.
    if outside.removal.is_none() && outside.added.is_some() && begun_at.is_none() {
        return;
    }
    let (team, client, seq) = (subscription.team, Some(subscription.client), Some(event.seq));
    let lines = [subscription.line, line];
    findings.add(Rule::Leaked, Place { team, client, seq, lines: &lines }, || {
        let (client, at, why) = (facts.text(subscription.client), event.seq, outside.why());
        format!("{client} was shown {at}, {why}")
    });
}

/// A page is not fenced by position but by time: whether the user is a member is asked before it is read.
fn check_read(facts: &Facts<'_>, findings: &mut Findings<'_>, read: &Read<'_>) {
    for event in read.events {
        let Some(outside) = outside(facts, event, read.user) else { continue };
        let is_late = match (outside.removal, outside.added) {
            (Some(removal), _) => {
                let Some(until_us) = facts.answered_until_us(removal) else { continue };
                facts.at_us(read.asked) > until_us
            }
            // A whole page without the addition was read before it; one that breaks off does not tell.
            (None, Some(_)) => !read.has_more,
            (None, None) => true,
        };
        if !is_late || is_in_force(facts, outside.added, read.answered) {
            continue;
        }
        let lines = [read.asked, read.answered];
        let place = Place { team: read.team, client: Some(read.client), seq: Some(event.seq), lines: &lines };
        findings.add(Rule::Leaked, place, || {
            let (client, at, why) = (facts.text(read.client), event.seq, outside.why());
            format!("{client} could read {at}, {why}")
        });
    }
}

/// Why a user was no member at a position.
#[derive(Debug, Clone, Copy)]
struct Outside {
    /// The last removal before it; `None` of who had not been added before it.
    removal: Option<Membership>,
    /// The addition that follows.
    added: Option<Membership>,
}

impl Outside {
    fn why(self) -> String {
        match (self.removal, self.added) {
            (Some(removal), _) => format!("after its user's removal at {}", removal.seq),
            (None, Some(added)) => format!("before its user's addition at {}", added.seq),
            (None, None) => "and its user was never added to the team".to_owned(),
        }
    }
}

fn outside(facts: &Facts<'_>, event: &EventNote<Name>, user: Option<Name>) -> Option<Outside> {
    match facts.teams.get(event.team)?.members.standing(user?, event.seq) {
        Standing::Removed { removal, added_again } => Some(Outside { removal: Some(removal), added: added_again }),
        Standing::NotYet { added } => Some(Outside { removal: None, added }),
        Standing::Member => None,
    }
}

/// Whether the addition was known to somebody when `line` was written.
fn is_in_force(facts: &Facts<'_>, added: Option<Membership>, line: usize) -> bool {
    added.and_then(|added| added.known_us()).is_some_and(|known_us| known_us <= facts.at_us(line))
}
