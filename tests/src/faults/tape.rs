//! Owns the moments of a run that figures and pictures are made of.

use std::collections::HashMap;

use huddle_verify::recording::{Note, kind};

use super::{board::Board, recorder::WORLD};

/// A first receipt. Times in microseconds since the recording began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// When it came.
    pub at_us: u64,
    /// How long after the first attempt.
    pub latency_us: u64,
    /// Whose: an index into [`Tape::clients`].
    pub client: usize,
    /// Of which team: an index into [`Tape::teams`].
    pub team: usize,
}

/// A connection came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionMoment {
    /// When.
    pub at_us: u64,
    /// Whose: an index into [`Tape::clients`].
    pub client: usize,
    /// To what, when it came; `None` when it went.
    pub gateway: Option<String>,
}

/// A fault, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultMark {
    /// The row of the list of faults.
    pub row: String,
    /// In words; the first one names what it happens to.
    pub what: String,
    /// When it began.
    pub from_us: u64,
    /// When it was healed; `None` while it is not.
    pub until_us: Option<u64>,
}

/// What happened when.
#[derive(Debug, Default)]
pub struct Tape {
    clients: Vec<String>,
    teams: Vec<String>,
    accepted: Vec<Acceptance>,
    /// When a message reached some client, and how long after its first attempt: live, or late for want of a connection
    /// or a subscription that the client had lost.
    delivered: Vec<(u64, u64)>,
    connections: Vec<ConnectionMoment>,
    faults: Vec<FaultMark>,
    /// When all clients were whole, and when not any longer.
    whole: Vec<(u64, bool)>,
    /// When each client lost its connection last, and each of its subscriptions by team.
    lost_us: HashMap<String, u64>,
    ended_us: HashMap<(String, String), u64>,
    client_indexes: HashMap<String, usize>,
    /// First attempts, by team and `client_id`. No two users share a `client_id` here.
    first_attempts: HashMap<(String, String), u64>,
}

impl Tape {
    /// Takes a note before `board` has.
    pub(super) fn take(&mut self, at_us: u64, client: &str, note: &Note, board: &Board) {
        match note {
            Note::Send { team, client_id, .. } => {
                self.first_attempts.entry((team.clone(), client_id.clone())).or_insert(at_us);
            }
            Note::Accepted { team, client_id, .. } => {
                let key = (team.clone(), client_id.clone());
                // A late retry tells nothing of how long the send took.
                // Nor does one who is about to be removed: it waits for its next receipt for ever.
                let state = board.clients().get(client).filter(|state| !state.place.is_outside);
                let Some(sent_us) = state.and_then(|state| state.unacknowledged.get(&key)) else { return };
                let latency_us = at_us - sent_us;
                let (client, team) = (self.client(client), self.team(team));
                self.accepted.push(Acceptance { at_us, latency_us, client, team });
            }
            Note::Event(event) if event.kind == kind::POSTED => {
                let Some(client_id) = &event.client_id else { return };
                let key = (event.team.clone(), client_id.clone());
                let Some(sent_us) = self.first_attempts.get(&key).copied() else { return };
                let Some(state) = board.clients().get(client) else { return };
                // What was sent before the client went away, or began, is late by nature: not so what was sent meanwhile.
                let is_live = state.caught_up.contains(&event.team);
                let ended_us = self.ended_us.get(&(client.to_owned(), event.team.clone()));
                let away_us = self.lost_us.get(client).max(ended_us).copied();
                if is_live || (!state.place.is_guest && away_us.is_some_and(|away_us| sent_us >= away_us)) {
                    self.delivered.push((at_us, at_us - sent_us));
                }
            }
            Note::Ended { team, .. }
                if board.clients().get(client).is_some_and(|state| state.caught_up.contains(team)) =>
            {
                self.ended_us.insert((client.to_owned(), team.clone()), at_us);
            }
            Note::Connected { gateway, .. } => {
                let client = self.client(client);
                self.connections.push(ConnectionMoment { at_us, client, gateway: Some(gateway.clone()) });
            }
            Note::Disconnected { .. } => {
                // Losing it again before having caught up is the same absence.
                if board.clients().get(client).is_some_and(|state| !state.caught_up.is_empty()) {
                    self.lost_us.insert(client.to_owned(), at_us);
                }
                let client = self.client(client);
                self.connections.push(ConnectionMoment { at_us, client, gateway: None });
            }
            Note::Fault { row, what } if client == WORLD => {
                let (row, what) = (row.clone(), what.clone());
                self.faults.push(FaultMark { row, what, from_us: at_us, until_us: None });
            }
            Note::Healed { row } if client == WORLD => {
                for fault in self.faults.iter_mut().filter(|fault| fault.row == *row && fault.until_us.is_none()) {
                    fault.until_us = Some(at_us);
                }
            }
            _ => {}
        }
    }

    pub(super) fn set_whole(&mut self, at_us: u64, whole: bool) {
        if self.whole.last().map(|(_, whole)| *whole) != Some(whole) {
            self.whole.push((at_us, whole));
        }
    }

    /// The names of clients, as other fields number them.
    pub fn clients(&self) -> &[String] {
        &self.clients
    }

    /// The teams, as other fields number them.
    pub fn teams(&self) -> &[String] {
        &self.teams
    }

    /// First receipts, in their order; none of late retries.
    pub fn accepted(&self) -> &[Acceptance] {
        &self.accepted
    }

    /// When messages reached clients, and how long after their first attempts: those that came live, and of a catch-up those
    /// that were sent after the client had lost its connection. What a guest missed while it was no member is not counted.
    pub fn delivered(&self) -> &[(u64, u64)] {
        &self.delivered
    }

    /// How connections came and went.
    pub fn connections(&self) -> &[ConnectionMoment] {
        &self.connections
    }

    /// The faults, by their beginnings.
    pub fn faults(&self) -> &[FaultMark] {
        &self.faults
    }

    /// When all clients were whole, and when not any longer.
    pub fn whole(&self) -> &[(u64, bool)] {
        &self.whole
    }

    /// What each client was connected to last at that time, by its index.
    pub fn homes_at(&self, at_us: u64) -> HashMap<usize, &str> {
        let before = self.connections.iter().take_while(|moment| moment.at_us <= at_us);
        before.filter_map(|moment| Some((moment.client, moment.gateway.as_deref()?))).collect()
    }

    fn client(&mut self, name: &str) -> usize {
        if let Some(index) = self.client_indexes.get(name) {
            return *index;
        }
        self.clients.push(name.to_owned());
        self.client_indexes.insert(name.to_owned(), self.clients.len() - 1);
        self.clients.len() - 1
    }

    fn team(&mut self, name: &str) -> usize {
        self.teams.iter().position(|team| team == name).unwrap_or_else(|| {
            self.teams.push(name.to_owned());
            self.teams.len() - 1
        })
    }
}
