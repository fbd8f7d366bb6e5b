//! Owns what a client sends: new messages at a pace, those that are not acknowledged again, and now and then one that
//! was acknowledged long ago.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use huddle_verify::recording::digest;
use rand::{RngExt as _, rngs::StdRng};
use tokio::time::Instant;

/// Sends that are under way at once.
const IN_FLIGHT_MAX: usize = 8;
/// Messages that are not acknowledged; while there are as many, nothing new is sent.
const UNACKNOWLEDGED_MAX: usize = 32;
/// The shortest and the longest wait before a refused send is tried again.
const RETRY_PAUSE_MS: std::ops::Range<u64> = 200..500;
/// One in so many sends repeats one that was acknowledged.
const ONE_IN_LATE_RETRIES: u32 = 60;
/// Acknowledged messages that are kept for late retries.
const ACKNOWLEDGED_MAX: usize = 128;
/// The longest filling of a body, in characters.
const FILLING_MAX: usize = 160;

/// A message that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) team: String,
    pub(super) client_id: String,
    pub(super) body: String,
    pub(super) digest: String,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    in_flight: bool,
    not_before: Instant,
}

/// The sends of one client, in their order.
#[derive(Debug)]
pub(super) struct Outbox {
    name: String,
    teams: Vec<String>,
    interval: Duration,
    next_new: Instant,
    next_number: u64,
    entries: BTreeMap<u64, Entry>,
    acknowledged: VecDeque<Message>,
}

impl Outbox {
    /// Sends so many messages per second to `teams`, one after the other at random.
    pub(super) fn new(name: &str, teams: &[String], messages_per_second: f64, rng: &mut StdRng) -> Self {
        let interval = Duration::from_secs_f64(1.0 / messages_per_second.max(0.01));
        Self {
            name: name.to_owned(),
            teams: teams.to_vec(),
            interval,
            next_new: Instant::now() + interval.mul_f64(rng.random()),
            next_number: 0,
            entries: BTreeMap::new(),
            acknowledged: VecDeque::new(),
        }
    }

    /// The next message that is due, with its number; `None` for now. With `only_old` nothing new is begun.
    pub(super) fn next_due(&mut self, only_old: bool, rng: &mut StdRng) -> Option<(u64, Message)> {
        let now = Instant::now();
        if !only_old && self.next_new <= now && !self.teams.is_empty() {
            // Evenly spread around the interval; what could not be sent is not made up for.
            self.next_new = now + self.interval.mul_f64(rng.random_range(0.5..1.5));
            if self.entries.len() < UNACKNOWLEDGED_MAX {
                let message = self.new_message(rng);
                self.entries.insert(self.next_number, Entry { message, in_flight: false, not_before: now });
                self.next_number += 1;
            }
        }
        if self.entries.values().filter(|entry| entry.in_flight).count() >= IN_FLIGHT_MAX {
            return None;
        }
        let due = self.entries.iter_mut().find(|(_, entry)| !entry.in_flight && entry.not_before <= now);
        due.map(|(number, entry)| {
            entry.in_flight = true;
            (*number, entry.message.clone())
        })
    }

    /// When to ask for the next one at the latest.
    pub(super) fn next_at(&self, only_old: bool) -> Instant {
        let retries = self.entries.values().filter(|entry| !entry.in_flight).map(|entry| entry.not_before);
        let new = (!only_old).then_some(self.next_new);
        let soonest = retries.chain(new).min();
        // A full flight goes on with a receipt, not with time.
        soonest.unwrap_or_else(|| Instant::now() + self.interval).max(Instant::now() + Duration::from_millis(5))
    }

    /// It is acknowledged.
    pub(super) fn accepted(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.acknowledged.push_back(entry.message);
            if self.acknowledged.len() > ACKNOWLEDGED_MAX {
                // Some stay for long: only every second one of the oldest goes.
                self.acknowledged.remove(usize::try_from(number % 2).unwrap_or_default() * (ACKNOWLEDGED_MAX / 2));
            }
        }
    }

    /// It is refused for good.
    pub(super) fn refused(&mut self, number: u64) {
        self.entries.remove(&number);
    }

    /// What became of it is unknown: it is due again, a little later.
    pub(super) fn unknown(&mut self, number: u64, rng: &mut StdRng) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.in_flight = false;
            entry.not_before = Instant::now() + Duration::from_millis(rng.random_range(RETRY_PAUSE_MS));
        }
    }

    /// The connection is gone: all is due again.
    pub(super) fn disconnected(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut() {
            entry.in_flight = false;
            entry.not_before = now;
        }
    }

    fn new_message(&self, rng: &mut StdRng) -> Message {
        let late = rng.random_ratio(1, ONE_IN_LATE_RETRIES) && !self.acknowledged.is_empty();
        if late {
            return self.acknowledged[rng.random_range(0..self.acknowledged.len())].clone();
        }
        let team = self.teams[rng.random_range(0..self.teams.len())].clone();
        let client_id = format!("{}-{}", self.name, self.next_number);
        let mut body = client_id.clone();
        for _ in 0..rng.random_range(0..FILLING_MAX / 8) {
            // Writing into memory does not fail.
            let _ = write!(body, " {:07x}", rng.random_range(0..0x0fff_ffff_u32));
        }
        let digest = digest(&body);
        Message { team, client_id, body, digest }
    }
}
