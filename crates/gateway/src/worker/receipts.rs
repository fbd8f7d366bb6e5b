//! Second receipts: tells each connection how far its sends are stored, once per team and watermark.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::{Rc, Weak},
};

use huddle_domain::{Partition, Partitions, Seq, TeamId};
use huddle_proto::gateway::v1::{Stored, server_frame::Content};

use super::Worker;
use crate::connection::Connection;

/// Receipts that one connection waits for in one team. Beyond it the latest one takes the place of the one before: a
/// receipt covers every send up to its position, so nothing goes unreported while the store lags behind.
const RECEIPTS_PER_TEAM_MAX: usize = 256;

/// Accepted sends of this worker's connections that are not stored yet.
pub(crate) struct Receipts {
    // By partition, then by position. Bounded per connection and team; a connection that closes leaves its entries,
    // which keep nothing of it alive, until they are stored.
    waiting: Box<[RefCell<Positions>]>,
}

/// Who waits for which position.
type Positions = BTreeMap<Seq, Vec<Waiting>>;

struct Waiting {
    connection: Weak<Connection>,
    team: TeamId,
}

/// What one connection waits for in one team.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Awaited {
    count: usize,
    highest: Seq,
}

impl Receipts {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self { waiting: partitions.iter().map(|_| RefCell::default()).collect() }
    }

    /// Notes that `connection` is to hear when the event of `team` at `seq` is stored.
    fn wait(&self, partition: Partition, seq: Seq, team: TeamId, connection: &Rc<Connection>) {
        let Some(waiting) = self.waiting.get(usize::from(partition.number())) else { return };
        let mut waiting = waiting.borrow_mut();
        let mut receipts = connection.receipts.borrow_mut();
        let awaited = receipts.entry(team.clone()).or_default();
        if awaited.count >= RECEIPTS_PER_TEAM_MAX {
            if seq <= awaited.highest {
                return;
            }
            if let Some(others) = waiting.get_mut(&awaited.highest) {
                let before = others.len();
                others.retain(|other| {
                    other.team != team || !std::ptr::eq(other.connection.as_ptr(), Rc::as_ptr(connection))
                });
                awaited.count -= before - others.len();
            }
        }
        awaited.count += 1;
        awaited.highest = awaited.highest.max(seq);
        waiting.entry(seq).or_default().push(Waiting { connection: Rc::downgrade(connection), team });
    }

    fn release(&self, partition: Partition, stored: Seq) {
        let Some(waiting) = self.waiting.get(usize::from(partition.number())) else { return };
        let released = {
            let mut waiting = waiting.borrow_mut();
            let rest = waiting.split_off(&stored.next());
            std::mem::replace(&mut *waiting, rest)
        };
        // Ascending, so that the last one per connection and team is the highest.
        let mut highest: HashMap<(*const Connection, TeamId), (Rc<Connection>, Seq)> = HashMap::new();
        for (seq, waiting) in released.into_iter().flat_map(|(seq, all)| all.into_iter().map(move |one| (seq, one))) {
            if let Some(connection) = waiting.connection.upgrade() {
                let mut receipts = connection.receipts.borrow_mut();
                if let Some(awaited) = receipts.get_mut(&waiting.team) {
                    awaited.count -= 1;
                    if awaited.count == 0 {
                        receipts.remove(&waiting.team);
                    }
                }
                drop(receipts);
                highest.insert((Rc::as_ptr(&connection), waiting.team), (connection, seq));
            }
        }
        for ((_, team), (connection, seq)) in highest {
            connection.push(stored_frame(&team, seq));
        }
    }
}

impl Worker {
    /// Tells `connection` that its send at `seq` is stored: at once when it is, else as soon as it is.
    pub(crate) fn promise(&self, connection: &Rc<Connection>, team: &TeamId, seq: Seq) {
        let partition = self.core.log.partitions().of(team);
        if self.core.watermarks.stored(partition) >= seq {
            connection.push(stored_frame(team, seq));
        } else {
            self.receipts.wait(partition, seq, team.clone(), connection);
        }
    }
}

/// Follows every partition's watermark on the calling worker's thread.
pub(super) fn start(worker: &Rc<Worker>) {
    for partition in worker.core.log.partitions().iter() {
        let Some(mut watermark) = worker.core.watermarks.watch(partition) else { continue };
        let worker = Rc::downgrade(worker);
        actix_web::rt::spawn(async move {
            while watermark.changed().await.is_ok() {
                let stored = *watermark.borrow_and_update();
                let Some(worker) = worker.upgrade() else { return };
                worker.receipts.release(partition, stored);
            }
        });
    }
}

fn stored_frame(team: &TeamId, seq: Seq) -> Content {
    Content::Stored(Stored { team: team.to_string(), seq: seq.get() })
}
