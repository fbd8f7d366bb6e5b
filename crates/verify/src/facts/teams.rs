//! What history shows of each team at the end, and who was a member when.

use std::collections::HashMap;

use super::{
    Kinds,
    members::{Members, Sighting},
};
use crate::recording::{EventNote, Name, Note, Recording};

/// An event in history, and the line that shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'r> {
    pub(crate) event: &'r EventNote<Name>,
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) struct Team<'r> {
    pub(crate) name: Name,
    /// As shown.
    pub(crate) shown: Vec<Row<'r>>,
    /// Ascending, each position once: the first row shown there.
    rows: Vec<Row<'r>>,
    pub(crate) members: Members,
}

/// Teams with a history, in the order of the recording.
#[derive(Debug)]
pub(crate) struct Teams<'r> {
    teams: Vec<Team<'r>>,
    by_name: HashMap<Name, usize>,
}

impl<'r> Teams<'r> {
    pub(super) fn of(recording: &'r Recording, kinds: &Kinds) -> Self {
        let mut teams = Self { teams: Vec::new(), by_name: HashMap::new() };
        for (line, entry) in recording.lines().iter().enumerate() {
            if let Note::History { team, events } = &entry.note {
                let team = teams.team(*team);
                team.shown.extend(events.iter().map(|event| Row { event, line }));
            }
        }
        for team in &mut teams.teams {
            team.sort(kinds);
        }
        teams.note_sightings(recording);
        teams
    }

    fn team(&mut self, name: Name) -> &mut Team<'r> {
        let index = *self.by_name.entry(name).or_insert_with(|| {
            self.teams.push(Team { name, shown: Vec::new(), rows: Vec::new(), members: Members::default() });
            self.teams.len() - 1
        });
        &mut self.teams[index]
    }

    pub(crate) fn get(&self, name: Name) -> Option<&Team<'r>> {
        self.by_name.get(&name).map(|index| &self.teams[*index])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Team<'r>> {
        self.teams.iter()
    }

    /// The highest position of any team; 0 when there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.teams.iter().map(Team::last_seq).max().unwrap_or(0)
    }

    /// Takes down when it was known to somebody that each change of members was in the log.
    fn note_sightings(&mut self, recording: &Recording) {
        for entry in recording.lines() {
            let at_us = entry.at_us;
            match &entry.note {
                Note::Event(event) => self.sighted(event.team, event.seq, at_us),
                Note::ReadDone { events, .. } => {
                    for event in events {
                        self.sighted(event.team, event.seq, at_us);
                    }
                }
                Note::Accepted { team, seq, .. }
                | Note::Subscribed { team, last_seq: seq }
                | Note::CaughtUp { team, seq } => self.sighted(*team, *seq, at_us),
                Note::MembershipChange { team, user, seq, .. } => {
                    self.sighted(*team, *seq, at_us);
                    if let Some(index) = self.by_name.get(team) {
                        self.teams[*index].members.acknowledged(*user, *seq, at_us);
                    }
                }
                _ => {}
            }
        }
        for team in &mut self.teams {
            team.members.finish();
        }
    }

    fn sighted(&mut self, team: Name, seq: u64, at_us: u64) {
        if let Some(index) = self.by_name.get(&team) {
            self.teams[*index].members.sighted(Sighting { seq, at_us });
        }
    }
}

impl<'r> Team<'r> {
    fn sort(&mut self, kinds: &Kinds) {
        self.rows.clone_from(&self.shown);
        // Stable: of two rows at one position the first one shown stays.
        self.rows.sort_by_key(|row| row.event.seq);
        self.rows.dedup_by_key(|row| row.event.seq);
        if self.rows.first().is_some_and(|row| kinds.is_team_created(row.event)) {
            self.members.begins_with_the_team();
        }
        for row in &self.rows {
            if let (Some(is_removal), Some(user)) = (kinds.removes(row.event), row.event.subject) {
                self.members.change(user, row.event.seq, is_removal);
            }
        }
    }

    /// The row at `seq`.
    pub(crate) fn row(&self, seq: u64) -> Option<Row<'r>> {
        self.rows.binary_search_by_key(&seq, |row| row.event.seq).ok().map(|index| self.rows[index])
    }

    /// The rows after `after` and before `before`.
    pub(crate) fn between(&self, after: u64, before: u64) -> &[Row<'r>] {
        let start = self.rows.partition_point(|row| row.event.seq <= after);
        let length = self.rows[start..].partition_point(|row| row.event.seq < before);
        &self.rows[start..start + length]
    }

    /// The rows, ascending.
    pub(crate) fn rows(&self) -> &[Row<'r>] {
        &self.rows
    }

    /// The last position; 0 when there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.event.seq)
    }
}
