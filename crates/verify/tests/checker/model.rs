//! A model of an honest service and its clients, small enough to be seen through, that writes recordings.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use huddle_verify::{
    Options, Recording, Report, Rule, check,
    recording::{Change, EventNote, HISTORY_CLIENT, Line, Note, Sees, digest, kind},
};

/// Between two lines.
const STEP: Duration = Duration::from_millis(1);
const FIRST_SEQ: u64 = 1_000_001;

#[derive(Debug)]
struct Client {
    user: String,
    sees: Sees,
    connection: u32,
    is_connected: bool,
    teams: BTreeMap<String, Following>,
}

#[derive(Debug, Default)]
struct Following {
    cursor: u64,
    is_live: bool,
}

/// A service that does what it should.
#[derive(Debug, Default)]
pub(crate) struct World {
    lines: Vec<Line>,
    now: Duration,
    next_seq: u64,
    logs: BTreeMap<String, Vec<EventNote>>,
    clients: BTreeMap<String, Client>,
    members: BTreeSet<(String, String)>,
    reads: u64,
    changes: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { next_seq: FIRST_SEQ, ..Self::default() }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn note(&mut self, client: &str, note: Note) {
        self.now += STEP;
        let connection = self.clients.get(client).map_or(0, |client| client.connection);
        let at_us = u64::try_from(self.now.as_micros()).unwrap();
        self.lines.push(Line { at_us, client: client.to_owned(), connection, note });
    }

    /// A team of `members`, owned by the first.
    pub(crate) fn team(&mut self, team: &str, members: &[&str]) {
        let (owner, others) = members.split_first().unwrap();
        self.append(team, "service", "created", None, kind::TEAM_CREATED, Some(owner));
        self.members.insert((team.to_owned(), (*owner).to_owned()));
        for member in others {
            self.change(team, member, Change::Added);
        }
    }

    pub(crate) fn change(&mut self, team: &str, user: &str, change: Change) -> u64 {
        self.changes += 1;
        let key = format!("change-{}", self.changes);
        let member = (team.to_owned(), user.to_owned());
        let kind = match change {
            Change::Added => {
                self.members.insert(member);
                kind::MEMBER_ADDED
            }
            Change::Removed => {
                self.members.remove(&member);
                kind::MEMBER_REMOVED
            }
        };
        let seq = self.append(team, "service", &key, None, kind, Some(user));
        self.note("admin", Note::MembershipChange { team: team.into(), user: user.into(), seq, kind: change });
        seq
    }

    pub(crate) fn is_member(&self, team: &str, user: &str) -> bool {
        self.members.contains(&(team.to_owned(), user.to_owned()))
    }

    fn append(
        &mut self,
        team: &str,
        sender: &str,
        client_id: &str,
        digest: Option<String>,
        kind: &str,
        subject: Option<&str>,
    ) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let log = self.logs.entry(team.to_owned()).or_default();
        let prev_seq = Some(log.last().map_or(0, |event| event.seq));
        let (team, sender, client_id) = (team.to_owned(), sender.to_owned(), Some(client_id.to_owned()));
        let (kind, subject) = (kind.to_owned(), subject.map(ToOwned::to_owned));
        log.push(EventNote { team, seq, prev_seq, sender, client_id, digest, kind, subject });
        seq
    }

    pub(crate) fn connect(&mut self, name: &str, user: &str, sees: Sees) {
        let known = self.clients.entry(name.to_owned()).or_insert_with(|| Client {
            user: user.to_owned(),
            sees,
            connection: 0,
            is_connected: false,
            teams: BTreeMap::new(),
        });
        known.is_connected = true;
        self.note(name, Note::Connected { user: user.into(), gateway: "gateway-0".into(), sees });
    }

    pub(crate) fn disconnect(&mut self, name: &str) {
        self.note(name, Note::Disconnected { reason: "cut".into() });
        let client = self.clients.get_mut(name).unwrap();
        client.is_connected = false;
        client.connection += 1;
        for following in client.teams.values_mut() {
            following.is_live = false;
        }
    }

    pub(crate) fn reconnect(&mut self, name: &str) {
        let client = &self.clients[name];
        let (user, sees) = (client.user.clone(), client.sees);
        self.connect(name, &user, sees);
    }

    pub(crate) fn is_connected(&self, name: &str) -> bool {
        self.clients[name].is_connected
    }

    /// Subscribes from the client's cursor; `from_now` gives that up.
    pub(crate) fn subscribe(&mut self, name: &str, team: &str, from_now: bool) {
        let user = self.clients[name].user.clone();
        let last_seq = self.last_seq(team);
        let cursor = self.clients[name].teams.get(team).map_or(0, |following| following.cursor);
        let after = (!from_now).then_some(cursor);
        self.note(name, Note::Subscribe { team: team.into(), after });
        if !self.is_member(team, &user) {
            self.note(name, Note::Ended { team: team.into(), code: "not_found".into() });
            return;
        }
        self.note(name, Note::Subscribed { team: team.into(), last_seq });
        let cursor = after.unwrap_or(last_seq);
        self.clients.get_mut(name).unwrap().teams.insert(team.to_owned(), Following { cursor, is_live: true });
        if !from_now {
            self.deliver(name, team, usize::MAX);
            // A removal among the missed events may be an old one.
            let following = self.clients.get_mut(name).unwrap().teams.get_mut(team).unwrap();
            following.is_live = true;
        }
        self.note(name, Note::CaughtUp { team: team.into(), seq: last_seq });
        let following = self.clients.get_mut(name).unwrap().teams.get_mut(team).unwrap();
        following.cursor = following.cursor.max(last_seq);
    }

    pub(crate) fn is_live(&self, name: &str, team: &str) -> bool {
        self.clients[name].teams.get(team).is_some_and(|following| following.is_live)
    }

    /// Shows a live client its next events.
    pub(crate) fn deliver(&mut self, name: &str, team: &str, count_max: usize) {
        let client = &self.clients[name];
        let (user, sees) = (client.user.clone(), client.sees);
        let Some(following) = client.teams.get(team).filter(|following| following.is_live) else { return };
        let cursor = following.cursor;
        let missed: Vec<EventNote> =
            self.logs[team].iter().filter(|event| event.seq > cursor).take(count_max).cloned().collect();
        let is_member = self.is_member(team, &user);
        for event in missed {
            let (seq, is_posted) = (event.seq, event.kind == kind::POSTED);
            let is_removal = event.kind == kind::MEMBER_REMOVED && event.subject.as_deref() == Some(&user);
            match sees {
                Sees::Events => self.note(name, Note::Event(event)),
                Sees::Messages if is_posted => {
                    self.note(name, Note::Event(EventNote { prev_seq: None, client_id: None, ..event }));
                }
                Sees::Messages => {}
            }
            let following = self.clients.get_mut(name).unwrap().teams.get_mut(team).unwrap();
            if is_posted || sees == Sees::Events {
                following.cursor = seq;
            }
            if is_removal && !is_member {
                following.is_live = false;
                self.note(name, Note::Ended { team: team.into(), code: "not_found".into() });
                return;
            }
        }
    }

    pub(crate) fn deliver_all(&mut self) {
        let followed: Vec<(String, String)> = self
            .clients
            .iter()
            .flat_map(|(name, client)| client.teams.keys().map(|team| (name.clone(), team.clone())))
            .collect();
        for (name, team) in followed {
            self.deliver(&name, &team, usize::MAX);
        }
    }

    /// A send leaves the client.
    pub(crate) fn begin_send(&mut self, name: &str, team: &str, id: &str) {
        self.note(name, Note::Send { team: team.into(), client_id: id.into(), digest: digest(id) });
    }

    /// The service takes a send, unless it has it.
    pub(crate) fn take(&mut self, name: &str, team: &str, id: &str) -> (u64, bool) {
        let user = self.clients[name].user.clone();
        let known = self.logs[team].iter().find(|event| event.sender == user && event.client_id.as_deref() == Some(id));
        match known {
            Some(event) => (event.seq, true),
            None => (self.append(team, &user, id, Some(digest(id)), kind::POSTED, None), false),
        }
    }

    pub(crate) fn receipt(&mut self, name: &str, team: &str, id: &str, (seq, duplicate): (u64, bool)) {
        self.note(name, Note::Accepted { team: team.into(), client_id: id.into(), seq, duplicate });
    }

    pub(crate) fn refuse(&mut self, name: &str, team: &str, id: &str, retryable: bool) {
        let (team, client_id, code) = (team.into(), id.into(), "refused".into());
        self.note(name, Note::Refused { team, client_id, code, retryable });
    }

    pub(crate) fn send(&mut self, name: &str, team: &str, id: &str) -> u64 {
        self.begin_send(name, team, id);
        let taken = self.take(name, team, id);
        self.receipt(name, team, id, taken);
        taken.0
    }

    pub(crate) fn stored(&mut self, name: &str, team: &str, seq: u64) {
        self.note(name, Note::Stored { team: team.into(), seq });
    }

    pub(crate) fn read(&mut self, name: &str, team: &str, after: u64, min_seq: u64, limit: usize) {
        self.reads += 1;
        let (read, sees) = (self.reads, self.clients[name].sees);
        self.note(name, Note::Read { read, team: team.into(), after, min_seq });
        let is_shown = |event: &&EventNote| event.seq > after && (sees == Sees::Events || event.kind == kind::POSTED);
        let mut events: Vec<EventNote> = self.logs[team].iter().filter(is_shown).cloned().collect();
        let has_more = events.len() > limit;
        events.truncate(limit);
        self.note(name, Note::ReadDone { read, events, has_more });
    }

    pub(crate) fn last_seq(&self, team: &str) -> u64 {
        self.logs[team].last().map_or(0, |event| event.seq)
    }

    /// Everybody gets everything and says so; then history is read.
    pub(crate) fn finish(mut self) -> Vec<Line> {
        let names: Vec<String> = self.clients.keys().cloned().collect();
        for name in &names {
            if !self.is_connected(name) {
                self.reconnect(name);
            }
            let teams: Vec<String> = self.clients[name].teams.keys().cloned().collect();
            for team in teams {
                if self.is_member(&team, &self.clients[name].user) && !self.is_live(name, &team) {
                    self.subscribe(name, &team, false);
                }
                self.deliver(name, &team, usize::MAX);
                if self.is_live(name, &team) {
                    let cursor = self.clients[name].teams[&team].cursor;
                    self.note(name, Note::Settled { team, cursor });
                }
            }
        }
        for (team, events) in self.logs.clone() {
            self.note(HISTORY_CLIENT, Note::History { team, events });
        }
        self.lines
    }
}

/// The rules that are broken, ascending.
pub(crate) fn broken(report: &Report) -> Vec<Rule> {
    report.by_rule.iter().map(|count| count.rule).collect()
}

pub(crate) fn checked(lines: Vec<Line>) -> Report {
    check(&Recording::of(7, lines), &Options::default())
}

#[track_caller]
pub(crate) fn assert_clean(lines: Vec<Line>) -> Report {
    let report = checked(lines);
    assert!(report.is_clean(), "{:#?}", report.findings);
    report
}
