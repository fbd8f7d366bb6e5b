//! Teams with events of every kind, and sources that hand them out.

use std::{collections::VecDeque, io};

use async_trait::async_trait;
use huddle_domain::{
    Body, ClientId, Entity, EntityId, EntityKind, Event, EventKind, Name, Role, Seq, Tags, TeamId, UnixMillis, UserId,
};
use huddle_transfer::{Digest, Item, Source, SourceError, TeamPlan, TeamSummary};

pub(crate) fn team_id(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Mentions, a thing, both or none.
fn tags(index: usize) -> Tags {
    let mentions = if index.is_multiple_of(2) { vec![user("cat"), user("ann")] } else { Vec::new() };
    let thing = Entity { kind: EntityKind::parse("issue").unwrap(), id: EntityId::parse(&index.to_string()).unwrap() };
    Tags::new(mentions, [1, 2].contains(&(index % 4)).then_some(thing)).unwrap()
}

/// An event of `team` at `seq`, the `index`-th of the team; what it is follows from both.
fn event(team: &str, index: usize, seq: u64, prev_seq: u64) -> Event {
    let kind = match index {
        0 => EventKind::TeamCreated { name: name(&format!("Team {team}")), owner: user("ann") },
        1 => EventKind::MemberAdded { user: user("bob"), role: Role::Member, name: Some(name("Bob \"B\" Böhm")) },
        2 => EventKind::MemberAdded { user: user("cat"), role: Role::Admin, name: None },
        3 => EventKind::MemberRoleChanged { user: user("bob"), role: Role::Owner },
        4 => EventKind::MemberRemoved { user: user("cat") },
        5 => EventKind::TeamRenamed { name: name("Renamed ☃") },
        6 => EventKind::TeamArchived,
        _ => {
            let body = Body::parse(&format!("message {seq}\n\t\u{1}\u{2028}漢🎉 \"\\")).unwrap();
            EventKind::Posted { body, tags: tags(index) }
        }
    };
    Event {
        team: team_id(team),
        seq: Seq::new(seq),
        prev_seq: Seq::new(prev_seq),
        time: UnixMillis(1_700_000_000_000 + i64::try_from(seq).unwrap()),
        sender: user(if index.is_multiple_of(2) { "ann" } else { "bob" }),
        client_id: ClientId::parse(&format!("c-{seq}")).unwrap(),
        kind,
    }
}

/// The events of `team` at `seqs`, which ascend.
pub(crate) fn events(team: &str, seqs: impl IntoIterator<Item = u64>) -> Vec<Event> {
    let mut prev_seq = 0;
    let mut events = Vec::new();
    for seq in seqs {
        events.push(event(team, events.len(), seq, prev_seq));
        prev_seq = seq;
    }
    events
}

/// Three teams whose positions are mixed, as in one partition.
pub(crate) fn three_teams() -> Vec<Vec<Event>> {
    vec![events("alpha", (1..=40).step_by(3)), events("beta", (2..=26).step_by(3)), events("gamma", [3])]
}

pub(crate) fn summary(events: &[Event]) -> TeamSummary {
    let mut digest = Digest::new();
    for event in events {
        digest.update(event);
    }
    let last = events.last().unwrap();
    TeamSummary { team: last.team.clone(), events: events.len() as u64, last_seq: last.seq, sha256: digest.finish() }
}

/// Hands out teams from memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) plan: Vec<TeamPlan>,
    pub(crate) items: VecDeque<Item>,
    /// After how many items it fails.
    pub(crate) fails_after: Option<usize>,
}

impl Memory {
    /// `teams`, in chunks of `chunk` events.
    pub(crate) fn new(teams: &[Vec<Event>], chunk: usize) -> Self {
        let summaries: Vec<_> = teams.iter().map(|events| summary(events)).collect();
        let plan = |end: &TeamSummary| TeamPlan { team: end.team.clone(), last_seq: end.last_seq, events: end.events };
        let plan = summaries.iter().map(plan).collect();
        let mut items = VecDeque::new();
        for (events, end) in teams.iter().zip(summaries) {
            let chunks = events.chunks(chunk);
            items.extend(chunks.map(|events| Item::Events { team: end.team.clone(), events: events.to_vec() }));
            items.push_back(Item::TeamEnd(end));
        }
        Self { plan, items, fails_after: None }
    }

    pub(crate) fn failing_after(self, items: usize) -> Self {
        Self { fails_after: Some(items), ..self }
    }
}

#[async_trait]
impl Source for Memory {
    fn plan(&self) -> &[TeamPlan] {
        &self.plan
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        if let Some(left) = &mut self.fails_after {
            if *left == 0 {
                let source = Box::new(io::Error::other("pulled out"));
                return Err(SourceError::Unreadable { what: "the memory".to_owned(), source });
            }
            *left -= 1;
        }
        Ok(self.items.pop_front())
    }
}
