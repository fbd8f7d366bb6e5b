//! One pass over the lines, after the histories and the connections are known.

use std::collections::HashMap;

use super::{
    AcknowledgedChange, Facts, Kinds, Read, Settled, StoredReceipt, Subscription, Subscriptions, Teams, Unclear,
    faults::Faults,
    sends::{Key, Outcome, Over, Sends},
    subscriptions::Shown,
};
use crate::{
    options::Options,
    recording::{Change, Line, Name, Note, Recording, Sees},
};

const NO_USER: &str = "nothing says which user this client is";

pub(super) fn build<'r>(recording: &'r Recording, options: &'r Options) -> Facts<'r> {
    let kinds = Kinds::of(recording);
    let teams = Teams::of(recording, &kinds);
    let facts = Facts {
        recording,
        options,
        kinds,
        teams,
        sends: Sends::default(),
        subscriptions: Subscriptions::default(),
        reads: Vec::new(),
        changes: Vec::new(),
        stored: HashMap::new(),
        settled: HashMap::new(),
        faults: Faults::of(recording),
        unclear: Vec::new(),
    };
    let mut builder = Builder { facts, connections: Connections::of(recording), open_reads: HashMap::new() };
    for (index, line) in recording.lines().iter().enumerate() {
        builder.take(index, line);
    }
    builder.facts
}

/// Who a client is, and what it is shown.
#[derive(Debug, Clone, Copy)]
struct Peer {
    user: Name,
    sees: Sees,
}

struct Connections {
    connections: HashMap<(Name, u32), Peer>,
    /// Each client's first one: for lines without a connection.
    clients: HashMap<Name, Peer>,
}

impl Connections {
    fn of(recording: &Recording) -> Self {
        let (mut connections, mut clients) = (HashMap::new(), HashMap::new());
        for line in recording.lines() {
            if let Note::Connected { user, sees, .. } = line.note {
                let peer = Peer { user, sees };
                connections.insert((line.client, line.connection), peer);
                clients.entry(line.client).or_insert(peer);
            }
        }
        Self { connections, clients }
    }

    fn of_line(&self, line: &Line<Name>) -> Option<Peer> {
        let connection = self.connections.get(&(line.client, line.connection));
        connection.or_else(|| self.clients.get(&line.client)).copied()
    }
}

/// A read that has no answer yet.
#[derive(Debug, Clone, Copy)]
struct OpenRead {
    team: Name,
    after: u64,
    min_seq: u64,
    line: usize,
}

struct Builder<'r> {
    facts: Facts<'r>,
    connections: Connections,
    /// By client and number.
    open_reads: HashMap<(Name, u64), OpenRead>,
}

impl<'r> Builder<'r> {
    fn take(&mut self, index: usize, line: &'r Line<Name>) {
        match &line.note {
            Note::Send { team, client_id, digest } => {
                if let Some((key, over)) = self.key(index, line, *team, *client_id) {
                    self.facts.sends.sent(key, over, index, *digest);
                }
            }
            Note::Accepted { team, client_id, seq, duplicate } => {
                let outcome = Outcome::Accepted { seq: *seq, duplicate: *duplicate, line: index };
                self.answered(index, line, *team, *client_id, outcome);
            }
            Note::Refused { team, client_id, retryable, .. } => {
                self.answered(index, line, *team, *client_id, Outcome::Refused { retryable: *retryable });
            }
            Note::Stored { team, seq } => {
                let receipt = StoredReceipt { seq: *seq, line: index };
                let highest = self.facts.stored.entry((line.client, line.connection, *team)).or_insert(receipt);
                if highest.seq < receipt.seq {
                    *highest = receipt;
                }
            }
            Note::Subscribe { team, after } => {
                let new = self.new_subscription(index, line, *team, *after);
                if new.user.is_none() {
                    self.unclear(index, line, Some(*team), NO_USER);
                }
                self.facts.subscriptions.begin(new);
            }
            Note::Subscribed { team, last_seq } => {
                let subscription = self.subscription(index, line, *team);
                subscription.last_seq.get_or_insert(*last_seq);
            }
            Note::Event(event) => {
                self.subscription(index, line, event.team).shown.push(Shown::Event { event, line: index });
            }
            Note::CaughtUp { team, seq } => {
                self.subscription(index, line, *team).shown.push(Shown::CaughtUp { seq: *seq, line: index });
            }
            Note::Ended { team, .. } => self.subscription(index, line, *team).has_ended = true,
            Note::Read { .. } | Note::ReadDone { .. } | Note::ReadRefused { .. } => self.take_read(index, line),
            Note::MembershipChange { team, user, seq, kind } => {
                let is_removal = *kind == Change::Removed;
                let (team, user, seq, client) = (*team, *user, *seq, line.client);
                self.facts.changes.push(AcknowledgedChange { team, user, seq, is_removal, client, line: index });
            }
            Note::Settled { team, cursor } => {
                let sees = self.connections.of_line(line).map_or(Sees::Events, |peer| peer.sees);
                let settled = Settled { cursor: *cursor, sees, line: index };
                self.facts.settled.insert((line.client, *team), settled);
            }
            Note::Connected { .. }
            | Note::Disconnected { .. }
            | Note::Fault { .. }
            | Note::Healed { .. }
            | Note::History { .. } => {}
        }
    }

    fn key(&mut self, index: usize, line: &Line<Name>, team: Name, client_id: Name) -> Option<(Key, Over)> {
        let Some(peer) = self.connections.of_line(line) else {
            self.unclear(index, line, Some(team), NO_USER);
            return None;
        };
        let over = Over { client: line.client, connection: line.connection };
        Some((Key { team, sender: peer.user, client_id }, over))
    }

    fn answered(&mut self, index: usize, line: &Line<Name>, team: Name, client_id: Name, outcome: Outcome) {
        if let Some((key, over)) = self.key(index, line, team, client_id) {
            self.facts.sends.answered(key, over, outcome, &self.facts.teams);
        }
    }

    fn new_subscription(&self, index: usize, line: &Line<Name>, team: Name, after: Option<u64>) -> Subscription<'r> {
        let peer = self.connections.of_line(line);
        Subscription {
            team,
            client: line.client,
            connection: line.connection,
            user: peer.map(|peer| peer.user),
            sees: peer.map_or(Sees::Events, |peer| peer.sees),
            line: index,
            after,
            last_seq: None,
            shown: Vec::new(),
            has_ended: false,
        }
    }

    /// The present subscription; one that nobody asked for when there is none, as where a client is shown its team
    /// by connecting.
    fn subscription(&mut self, index: usize, line: &Line<Name>, team: Name) -> &mut Subscription<'r> {
        let new = self.new_subscription(index, line, team, None);
        self.facts.subscriptions.present(line.client, line.connection, team, || new)
    }

    fn take_read(&mut self, index: usize, line: &'r Line<Name>) {
        match &line.note {
            Note::Read { read, team, after, min_seq } => {
                let open = OpenRead { team: *team, after: *after, min_seq: *min_seq, line: index };
                self.open_reads.insert((line.client, *read), open);
            }
            Note::ReadDone { read, events, has_more } => {
                let Some(OpenRead { team, after, min_seq, line: asked }) =
                    self.open_reads.remove(&(line.client, *read))
                else {
                    self.unclear(index, line, None, "an answer to a read that is not on record");
                    return;
                };
                let peer = self.connections.of_line(line);
                self.facts.reads.push(Read {
                    client: line.client,
                    user: peer.map(|peer| peer.user),
                    sees: peer.map_or(Sees::Events, |peer| peer.sees),
                    team,
                    after,
                    min_seq,
                    asked,
                    answered: index,
                    events,
                    has_more: *has_more,
                });
            }
            Note::ReadRefused { read, .. } => {
                self.open_reads.remove(&(line.client, *read));
            }
            _ => {}
        }
    }

    fn unclear(&mut self, index: usize, line: &Line<Name>, team: Option<Name>, why: &'static str) {
        self.facts.unclear.push(Unclear { team, client: line.client, line: index, why });
    }
}
