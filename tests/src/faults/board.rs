//! Owns how far each client is, as its own notes tell.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use huddle_verify::recording::{Note, Sees};

/// What a client is expected to do, told before it begins.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The teams that it follows to the end; none of a client that only reads or sends.
    pub teams: Vec<String>,
    /// Whether it is now and then no member of its teams, so that nobody waits for it while the run goes on.
    pub is_guest: bool,
    /// Whether it sends.
    pub sends: bool,
    /// Whether it is no member for good, and is to be refused: it was removed early, or never was one.
    pub is_outside: bool,
}

/// How far one client is.
#[derive(Debug, Clone, Default)]
pub struct ClientState {
    /// What is expected of it.
    pub place: Place,
    /// What it is connected to; `None` while it is not.
    pub connected_to: Option<String>,
    /// What it was connected to last.
    pub last_gateway: Option<String>,
    /// Whether it sees events of all kinds, or messages only.
    pub sees: Option<Sees>,
    /// The present connection.
    pub connection: u32,
    /// The teams with which it has caught up on this connection.
    pub caught_up: BTreeSet<String>,
    /// By team, what it has seen.
    pub cursors: BTreeMap<String, u64>,
    /// Sends that it does not know the outcome of, with the time of the first attempt in microseconds.
    pub unacknowledged: BTreeMap<SendKey, u64>,
    /// How many connections it has lost.
    pub disconnects: u64,
    /// How many sends were accepted as new: retries of what had been taken before are not counted.
    pub accepted: u64,
    /// How many sends were refused for good.
    pub refused: u64,
    settled_sends: HashSet<SendKey>,
}

/// Team and `client_id`.
pub type SendKey = (String, String);

impl ClientState {
    /// Whether it is connected and has caught up with all its teams.
    pub fn is_whole(&self) -> bool {
        self.place.teams.is_empty()
            || (self.connected_to.is_some() && self.place.teams.iter().all(|team| self.caught_up.contains(team)))
    }

    fn take(&mut self, at_us: u64, connection: u32, note: &Note) {
        match note {
            Note::Connected { gateway, sees, .. } => {
                self.connected_to = Some(gateway.clone());
                self.last_gateway = Some(gateway.clone());
                self.sees = Some(*sees);
                self.connection = connection;
                self.caught_up.clear();
            }
            Note::Disconnected { .. } => {
                self.disconnects += u64::from(self.connected_to.is_some());
                self.connected_to = None;
                self.caught_up.clear();
            }
            Note::Send { team, client_id, .. } => {
                let key = (team.clone(), client_id.clone());
                if !self.settled_sends.contains(&key) {
                    self.unacknowledged.entry(key).or_insert(at_us);
                }
            }
            Note::Accepted { team, client_id, duplicate, .. } => {
                self.accepted += u64::from(!duplicate);
                self.finish(team, client_id);
            }
            Note::Refused { team, client_id, retryable: false, .. } => {
                self.refused += 1;
                self.finish(team, client_id);
            }
            Note::Event(event) => {
                let cursor = self.cursors.entry(event.team.clone()).or_default();
                *cursor = event.seq.max(*cursor);
            }
            Note::CaughtUp { team, seq } => {
                self.caught_up.insert(team.clone());
                let cursor = self.cursors.entry(team.clone()).or_default();
                *cursor = (*seq).max(*cursor);
            }
            Note::Ended { team, .. } => {
                self.caught_up.remove(team);
            }
            _ => {}
        }
    }

    fn finish(&mut self, team: &str, client_id: &str) {
        let key = (team.to_owned(), client_id.to_owned());
        self.unacknowledged.remove(&key);
        self.settled_sends.insert(key);
    }
}

/// How far all clients are.
#[derive(Debug, Default)]
pub struct Board {
    clients: BTreeMap<String, ClientState>,
    /// Clients that are waited for and are not whole.
    missing: BTreeSet<String>,
}

impl Board {
    pub(super) fn expect(&mut self, client: &str, place: Place) {
        self.clients.insert(client.to_owned(), ClientState { place, ..ClientState::default() });
        self.count(client);
    }

    /// Notes of clients that nobody has announced mean nothing here.
    pub(super) fn take(&mut self, at_us: u64, client: &str, connection: u32, note: &Note) {
        if let Some(state) = self.clients.get_mut(client) {
            state.take(at_us, connection, note);
            if matches!(
                note,
                Note::Connected { .. } | Note::Disconnected { .. } | Note::CaughtUp { .. } | Note::Ended { .. }
            ) {
                self.count(client);
            }
        }
    }

    fn count(&mut self, client: &str) {
        let Some(state) = self.clients.get(client) else { return };
        if state.is_whole() || state.place.is_guest {
            self.missing.remove(client);
        } else {
            self.missing.insert(client.to_owned());
        }
    }

    /// All clients, by name.
    pub const fn clients(&self) -> &BTreeMap<String, ClientState> {
        &self.clients
    }

    /// Whether every client but the guests is connected and has caught up with all its teams.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// The clients that are not.
    pub const fn missing(&self) -> &BTreeSet<String> {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        let mut board = Board::default();
        board.expect("a", Place { teams: vec!["t".to_owned()], ..Place::default() });
        board
    }

    fn connected() -> Note {
        Note::Connected { user: "a".into(), gateway: "gateway-0".into(), sees: Sees::Events }
    }

    #[test]
    fn a_client_is_whole_from_its_catch_up_to_the_end_of_its_connection() {
        let mut board = board();
        let caught_up = Note::CaughtUp { team: "t".into(), seq: 7 };
        for (note, whole) in [
            (connected(), false),
            (caught_up.clone(), true),
            (Note::Ended { team: "t".into(), code: "X".into() }, false),
            (caught_up.clone(), true),
            (Note::Disconnected { reason: String::new() }, false),
            (connected(), false),
            (caught_up, true),
        ] {
            board.take(0, "a", 0, &note);
            assert_eq!(board.is_whole(), whole, "after {note:?}");
        }
        assert_eq!(board.clients()["a"].cursors["t"], 7);
    }

    #[test]
    fn a_late_retry_of_an_acknowledged_send_is_not_waited_for() {
        let mut board = board();
        let send = || Note::Send { team: "t".into(), client_id: "1".into(), digest: String::new() };
        let unacknowledged = |board: &Board| board.clients()["a"].unacknowledged.len();
        board.take(5, "a", 0, &send());
        board.take(6, "a", 0, &send());
        assert_eq!(unacknowledged(&board), 1);
        let refused = Note::Refused { team: "t".into(), client_id: "1".into(), code: String::new(), retryable: true };
        board.take(7, "a", 0, &refused);
        assert_eq!(unacknowledged(&board), 1, "what became of it is unknown");
        board.take(8, "a", 0, &Note::Accepted { team: "t".into(), client_id: "1".into(), seq: 9, duplicate: false });
        board.take(9, "a", 0, &send());
        assert_eq!(unacknowledged(&board), 0);
    }
}
