//! Storing one team, chunk by chunk.

use huddle_domain::{Event, Seq};
use huddle_store::DeadLetterReason;

use super::{Claims, ImportError, Target};
use crate::{CHUNK_EVENTS_MAX, TeamPlan};

/// How many events of a chunk were stored now, and how many before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) stored: u64,
    pub(super) present: u64,
}

/// A team that is being stored.
#[derive(Debug)]
pub(super) struct Team<'a> {
    plan: &'a TeamPlan,
    /// Everything up to here has been stored.
    last: Seq,
    /// The target has no events of the team above `last`: it was looked at, and nobody else writes.
    is_empty_above: bool,
}

impl<'a> Team<'a> {
    pub(super) fn new(plan: &'a TeamPlan) -> Self {
        Self { plan, last: Seq::ZERO, is_empty_above: false }
    }

    /// Stores the next chunk, all of it or nothing, unless it is there.
    pub(super) async fn store(
        &mut self,
        target: &Target<'_>,
        claims: &mut Claims,
        events: Vec<Event>,
    ) -> Result<Moved, ImportError> {
        let (first, last) = self.check(&events)?;
        let conflict = |seq| ImportError::Conflict { team: self.plan.team.clone(), seq, first, last };
        let offered = events.len() as u64;
        let (moved, is_empty_above) = match self.present(target, claims, &events).await? {
            Present::All => (Moved { stored: 0, present: offered }, false),
            Present::Other(seq) => return Err(conflict(seq)),
            Present::Some { is_empty_above } => {
                let partition = target.log.partitions().of(&self.plan.team);
                let imported = claims.with_writer(partition, async |writer| writer.import(events).await).await?;
                if let Some((seq, reason)) = imported.conflicts.first() {
                    let (team, seq) = (self.plan.team.clone(), *seq);
                    return Err(match reason {
                        DeadLetterReason::SeqTaken => conflict(seq),
                        DeadLetterReason::LateDuplicate => ImportError::KeyConflict { team, seq, first, last },
                        DeadLetterReason::Refused | DeadLetterReason::Undecodable => {
                            ImportError::Refused { team, seq, first, last }
                        }
                    });
                }
                (Moved { stored: imported.stored as u64, present: imported.present as u64 }, is_empty_above)
            }
        };
        self.is_empty_above = is_empty_above;
        self.last = last;
        Ok(moved)
    }

    /// Holds the source to its contract: what it breaks could end up above the position that readers may see. Returns
    /// the chunk's first and last position.
    fn check(&self, events: &[Event]) -> Result<(Seq, Seq), ImportError> {
        let broken = |problem| Err(ImportError::SourceContract { team: self.plan.team.clone(), problem });
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return broken("an empty chunk") };
        let mut before = self.last;
        for event in events {
            if event.team != self.plan.team || event.prev_seq != before || event.seq <= before {
                return broken("events that do not follow one another");
            }
            before = event.seq;
        }
        if last.seq > self.plan.last_seq || events.len() > CHUNK_EVENTS_MAX {
            return broken("more events than planned");
        }
        Ok((first.seq, last.seq))
    }

    /// Looks for what the target has after the last chunk and up to the end of this one.
    async fn present(
        &self,
        target: &Target<'_>,
        claims: &mut Claims,
        events: &[Event],
    ) -> Result<Present, ImportError> {
        if self.is_empty_above {
            return Ok(Present::Some { is_empty_above: true });
        }
        // One more than there may be, so that one too many is noticed. A chunk is small.
        let limit = u32::try_from(events.len() + 1).unwrap_or(u32::MAX);
        let page = claims.meanwhile(target.events.list_events(&self.plan.team, self.last, limit, None)).await??;
        let is_empty_above = page.items.is_empty();
        let last = events.last().map_or(self.last, |event| event.seq);
        let mut stored = page.items.iter();
        if self.last.is_zero() && page.items.first() != events.first() {
            // A team that began otherwise is another one, even where no two positions meet.
            return Ok(page.items.first().map_or(Present::Some { is_empty_above }, |other| Present::Other(other.seq)));
        }
        let mut offered = events.iter();
        let mut present = 0;
        for stored in stored.by_ref().take_while(|stored| stored.seq <= last) {
            let Some(same) = offered.find(|event| event.seq >= stored.seq) else {
                return Ok(Present::Other(stored.seq));
            };
            if !is_same(same, stored) {
                return Ok(Present::Other(stored.seq));
            }
            present += 1;
        }
        Ok(if present == events.len() { Present::All } else { Present::Some { is_empty_above } })
    }
}

/// What of a chunk the target has already.
enum Present {
    /// All of it.
    All,
    /// Not all of it, and nothing else.
    Some { is_empty_above: bool },
    /// Another event, at this position.
    Other(Seq),
}

/// The event before one may be missing in the target as yet, so that `prev_seq` does not count.
fn is_same(offered: &Event, stored: &Event) -> bool {
    offered.seq == stored.seq
        && offered.time == stored.time
        && offered.sender == stored.sender
        && offered.client_id == stored.client_id
        && offered.kind == stored.kind
}
