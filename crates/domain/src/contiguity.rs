//! Decides whether an event follows the one before it without a hole.

use crate::{Event, Seq};

/// What an event is to a reader that has seen everything up to some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The very next event of the team: take it.
    Next,
    /// Seen already: drop it.
    Seen,
    /// Something between `after` (exclusive) and the event may be missing: read it from history first. Also when the
    /// event does not know its predecessor (`prev_seq` 0 on a team that already has events).
    Gap {
        /// The last position seen.
        after: Seq,
    },
}

/// A reader's place in one team: everything up to `last` is seen, nothing beyond.
#[derive(Debug, Clone, Copy)]
pub struct Contiguity {
    last: Seq,
}

impl Contiguity {
    /// A reader that has seen everything up to and including `last`.
    pub const fn after(last: Seq) -> Self {
        Self { last }
    }

    /// The last position seen.
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Judges `event`; does not move.
    pub fn judge(&self, event: &Event) -> Step {
        self.judge_at(event.seq, event.prev_seq)
    }

    /// Judges the event at `seq` whose predecessor is at `prev_seq`; does not move.
    pub fn judge_at(&self, seq: Seq, prev_seq: Seq) -> Step {
        let predecessor_is_known = !prev_seq.is_zero() || self.last.is_zero();
        if seq <= self.last {
            Step::Seen
        } else if predecessor_is_known && prev_seq <= self.last {
            Step::Next
        } else {
            Step::Gap { after: self.last }
        }
    }

    /// Moves to `seq`: everything up to it is now seen. Never moves back.
    pub fn advance(&mut self, seq: Seq) {
        self.last = self.last.max(seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientId, EventKind, TeamId, UnixMillis, UserId};

    fn event(seq: u64, prev_seq: u64) -> Event {
        Event {
            team: TeamId::parse("t").unwrap(),
            seq: Seq::new(seq),
            prev_seq: Seq::new(prev_seq),
            time: UnixMillis(0),
            sender: UserId::parse("u").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            kind: EventKind::TeamArchived,
        }
    }

    #[test]
    fn holes_and_repeats_are_told_from_the_next_event() {
        let gap = |after| Step::Gap { after: Seq::new(after) };
        let cases = [
            (0, (5, 0), Step::Next),
            (4, (5, 4), Step::Next),
            // A cursor between two positions of the team: nothing of the team lies between.
            (4, (9, 3), Step::Next),
            (5, (5, 4), Step::Seen),
            (6, (5, 4), Step::Seen),
            (4, (9, 6), gap(4)),
            (0, (9, 6), gap(0)),
            // The predecessor aged out of the log: its absence is not taken on trust.
            (4, (9, 0), gap(4)),
        ];
        for (last, (seq, prev_seq), expected) in cases {
            assert_eq!(Contiguity::after(Seq::new(last)).judge(&event(seq, prev_seq)), expected, "{last} {seq}");
        }
    }
}
