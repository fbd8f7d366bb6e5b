//! A team's last events in memory, for those who were away for a moment, and the reads that several of them share.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::{BoxFuture, Shared};
use huddle_domain::{EventKind, Seq};
use huddle_proto::Refusal;

use super::Delivery;

/// Most events of one team that are kept.
const EVENTS_MAX: usize = 256;
/// Most bytes of one team's events that are kept, as [`bytes_of`] counts them.
const BYTES_MAX: usize = 256 * 1024;
/// What a team keeps also while all together take more than they may: whoever talks now is not to pay for the others.
const SHARE_BYTES: usize = 8 * 1024;
/// What an event takes beside its text: ids, positions, and the frames that are made of it.
const EVENT_OVERHEAD: usize = 512;

/// A stretch of a team's events without a hole.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Oldest first.
    pub(crate) deliveries: Vec<Arc<Delivery>>,
    /// These are all of the team's events after where the page begins, up to this position.
    pub(crate) through: Seq,
}

/// A read that whoever needs the same page waits for.
pub(super) type SharedRead = Shared<BoxFuture<'static, Result<Arc<Page>, Refusal>>>;

/// What all teams' recent events may take together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }

    fn is_exceeded(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }

    fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One team's recent events. Its feed adds to them; whoever catches up reads them.
#[derive(Debug)]
pub(crate) struct Recent {
    budget: Arc<Budget>,
    // A plain mutex: held for copying at most `EVENTS_MAX` pointers, never across an await.
    kept: Mutex<Kept>,
    // By the position after which they read. Held for a look-up, an insert or a removal.
    reads: Mutex<HashMap<Seq, SharedRead>>,
}

#[derive(Debug)]
struct Kept {
    /// All of the team's events after this position and up to `through` are here.
    floor: Seq,
    through: Seq,
    deliveries: VecDeque<Arc<Delivery>>,
    bytes: usize,
}

impl Recent {
    /// Nothing is kept yet; what is added follows `position`.
    pub(super) fn after(position: Seq, budget: Arc<Budget>) -> Self {
        let kept = Kept { floor: position, through: position, deliveries: VecDeque::new(), bytes: 0 };
        Self { budget, kept: Mutex::new(kept), reads: Mutex::default() }
    }

    /// Adds the team's next event; the oldest make room. One that does not know the event before it is not kept: history
    /// knows.
    pub(super) fn push(&self, delivery: Arc<Delivery>) {
        let mut kept = self.kept();
        if delivery.event.prev_seq.is_zero() {
            self.budget.give_back(kept.bytes);
            let seq = delivery.event.seq;
            *kept = Kept { floor: seq, through: seq, deliveries: VecDeque::new(), bytes: 0 };
            return;
        }
        let bytes = bytes_of(&delivery);
        kept.through = delivery.event.seq;
        kept.deliveries.push_back(delivery);
        kept.bytes += bytes;
        self.budget.take(bytes);
        while kept.is_too_large() || (self.budget.is_exceeded() && kept.bytes > SHARE_BYTES) {
            let Some(oldest) = kept.deliveries.pop_front() else { break };
            let bytes = bytes_of(&oldest);
            kept.floor = oldest.event.seq;
            kept.bytes -= bytes;
            self.budget.give_back(bytes);
        }
    }

    /// The team has no further event up to `position`.
    pub(super) fn advance(&self, position: Seq) {
        let mut kept = self.kept();
        kept.through = kept.through.max(position);
    }

    /// Everything after `after`, when it is all here.
    pub(super) fn since(&self, after: Seq) -> Option<Page> {
        let kept = self.kept();
        if after < kept.floor {
            return None;
        }
        let first = kept.deliveries.partition_point(|delivery| delivery.event.seq <= after);
        Some(Page { deliveries: kept.deliveries.range(first..).cloned().collect(), through: kept.through.max(after) })
    }

    /// Takes in what was read after `after`, as far as it fits in front of what is here without a hole.
    pub(super) fn extend_back(&self, after: Seq, page: &Page) {
        let mut kept = self.kept();
        if after >= kept.floor || page.through < kept.floor {
            return;
        }
        let floor = kept.floor;
        let older = page.deliveries.iter().rev().skip_while(|delivery| delivery.event.seq > floor);
        kept.floor = after;
        for delivery in older {
            let bytes = bytes_of(delivery);
            let is_full = kept.deliveries.len() >= EVENTS_MAX || kept.bytes + bytes > BYTES_MAX;
            if is_full || self.budget.is_exceeded() {
                kept.floor = delivery.event.seq;
                return;
            }
            kept.deliveries.push_front(Arc::clone(delivery));
            kept.bytes += bytes;
            self.budget.take(bytes);
        }
    }

    /// The read after `after` that is under way, or else the one that `begin` makes.
    pub(super) fn share(&self, after: Seq, begin: impl FnOnce() -> SharedRead) -> SharedRead {
        self.reads().entry(after).or_insert_with(begin).clone()
    }

    /// The read after `after` is over: the next one who asks begins a new one.
    pub(super) fn finish(&self, after: Seq) {
        self.reads().remove(&after);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reads(&self) -> MutexGuard<'_, HashMap<Seq, SharedRead>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.budget.give_back(self.kept().bytes);
    }
}

impl Kept {
    fn is_too_large(&self) -> bool {
        self.deliveries.len() > EVENTS_MAX || self.bytes > BYTES_MAX
    }
}

/// What an event takes in memory, roughly: its text, once for each encoding that is common.
fn bytes_of(delivery: &Delivery) -> usize {
    let text = match &delivery.event.kind {
        EventKind::Posted { body, .. } => body.as_str().len(),
        _ => 0,
    };
    EVENT_OVERHEAD + 3 * text
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Body, ClientId, Event, TeamId, UnixMillis, UserId};

    use super::*;

    fn delivery(seq: u64, body: &str) -> Arc<Delivery> {
        let event = Event {
            team: TeamId::parse("t").unwrap(),
            seq: Seq::new(seq),
            prev_seq: Seq::new(1),
            time: UnixMillis(0),
            sender: UserId::parse("u").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            kind: EventKind::posted(Body::parse(body).unwrap()),
        };
        Arc::new(Delivery::new(Arc::new(event), None))
    }

    fn recent(floor: u64, seqs: &[u64]) -> Recent {
        let recent = Recent::after(Seq::new(floor), Arc::new(Budget::new(usize::MAX)));
        for seq in seqs {
            recent.push(delivery(*seq, "hi"));
        }
        recent
    }

    fn page(through: u64, seqs: &[u64]) -> Page {
        Page { deliveries: seqs.iter().map(|seq| delivery(*seq, "hi")).collect(), through: Seq::new(through) }
    }

    /// The events after `after` and how far they go; `None` where not all of them are there.
    fn since(recent: &Recent, after: u64) -> Option<(Vec<u64>, u64)> {
        let page = recent.since(Seq::new(after))?;
        Some((page.deliveries.iter().map(|it| it.event.seq.get()).collect(), page.through.get()))
    }

    #[test]
    fn what_is_given_has_no_hole() {
        let recent = recent(10, &[12, 15]);
        assert_eq!(since(&recent, 9), None, "an event between 9 and 10 would be missing");
        assert_eq!(since(&recent, 10), Some((vec![12, 15], 15)));
        assert_eq!(since(&recent, 12), Some((vec![15], 15)));
        assert_eq!(since(&recent, 15), Some((vec![], 15)));
        recent.advance(Seq::new(20));
        assert_eq!(since(&recent, 15), Some((vec![], 20)));
    }

    #[test]
    fn an_event_that_does_not_know_its_predecessor_is_left_to_history() {
        let recent = recent(10, &[12]);
        let mut orphan = Event::clone(&delivery(15, "hi").event);
        orphan.prev_seq = Seq::ZERO;
        recent.push(Arc::new(Delivery::new(Arc::new(orphan), None)));
        recent.push(delivery(17, "hi"));
        assert_eq!((since(&recent, 12), since(&recent, 15)), (None, Some((vec![17], 17))));
    }

    #[test]
    fn the_oldest_make_room_and_are_not_given_any_more() {
        let seqs: Vec<u64> = (1..=EVENTS_MAX as u64 + 3).collect();
        let recent = recent(0, &seqs);
        assert_eq!(since(&recent, 2), None);
        assert_eq!(since(&recent, 3).unwrap().0.len(), EVENTS_MAX);

        let large = Recent::after(Seq::ZERO, Arc::new(Budget::new(usize::MAX)));
        for seq in 1..=100 {
            large.push(delivery(seq, &"x".repeat(4_000)));
        }
        assert!(large.kept().bytes <= BYTES_MAX && large.kept().deliveries.len() < 100);
        assert_eq!(since(&large, 99).unwrap().0, [100]);
    }

    #[test]
    fn all_teams_together_keep_to_the_budget_and_give_back_what_they_took() {
        let budget = Arc::new(Budget::new(10 * EVENT_OVERHEAD));
        let shares = 3 * SHARE_BYTES;
        let teams: Vec<_> = (0..3).map(|_| Recent::after(Seq::ZERO, Arc::clone(&budget))).collect();
        for seq in 1..=100 {
            for team in &teams {
                team.push(delivery(seq, "hi"));
            }
        }
        assert!(budget.bytes.load(Ordering::Relaxed) <= shares);
        assert!(teams.iter().any(|team| !team.kept().deliveries.is_empty()));
        drop(teams);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn older_events_are_taken_in_where_they_join_without_a_hole() {
        let joined = recent(10, &[12]);
        joined.extend_back(Seq::new(5), &page(10, &[7, 10]));
        assert_eq!(since(&joined, 5), Some((vec![7, 10, 12], 12)));
        assert_eq!(since(&joined, 4), None);

        let overlapping = recent(10, &[12]);
        overlapping.extend_back(Seq::new(5), &page(12, &[7, 10, 12]));
        assert_eq!(since(&overlapping, 5), Some((vec![7, 10, 12], 12)));

        let apart = recent(10, &[12]);
        apart.extend_back(Seq::new(5), &page(9, &[7, 9]));
        assert_eq!(since(&apart, 5), None, "what lies between 9 and 10 is not known");
    }

    #[test]
    fn older_events_beyond_the_bound_are_left_out() {
        let recent = recent(1_000, &[1_001]);
        let seqs: Vec<u64> = (1..=1_000).collect();
        recent.extend_back(Seq::ZERO, &page(1_000, &seqs));
        let oldest = 1_000 - (EVENTS_MAX as u64 - 1);
        assert_eq!(since(&recent, oldest - 1), None);
        assert_eq!(since(&recent, oldest).unwrap().0.len(), EVENTS_MAX);
    }
}
