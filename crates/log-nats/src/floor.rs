//! Owns how far the log has gone, as this process knows. A log that ends before that has lost events (its disks did not
//! sync, or were restored from a copy), and would assign positions a second time: nothing is appended to it.

use std::sync::atomic::{AtomicU64, Ordering};

use huddle_domain::{Partition, Partitions, Seq};
use huddle_log::StoredMark;

use crate::{
    connect::Link,
    retry::{Cause, Miss},
    stream,
};

/// For each partition the highest position that is known to be taken.
#[derive(Debug)]
pub(crate) struct Floors(Box<[Floor]>);

#[derive(Debug, Default)]
struct Floor {
    /// The highest that was acknowledged here.
    acknowledged: AtomicU64,
    /// The last that was said to be stored. It sinks when the store goes back, or was not the one that belongs to this log.
    stored: AtomicU64,
}

impl Floors {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self(partitions.iter().map(|_| Floor::default()).collect())
    }

    /// Notes that `seq` was acknowledged.
    pub(crate) fn acknowledged(&self, partition: Partition, seq: Seq) {
        if let Some(floor) = self.floor(partition) {
            floor.acknowledged.fetch_max(seq.get(), Ordering::Relaxed);
        }
    }

    /// Notes how far the partition is said to be stored.
    pub(crate) fn stored(&self, mark: StoredMark) {
        if let Some(floor) = self.floor(mark.partition) {
            floor.stored.store(mark.seq.get(), Ordering::Relaxed);
        }
    }

    pub(crate) fn of(&self, partition: Partition) -> Seq {
        let taken =
            |floor: &Floor| floor.acknowledged.load(Ordering::Relaxed).max(floor.stored.load(Ordering::Relaxed));
        self.floor(partition).map_or(Seq::ZERO, |floor| Seq::new(taken(floor)))
    }

    fn floor(&self, partition: Partition) -> Option<&Floor> {
        self.0.get(usize::from(partition.number()))
    }
}

/// How the end of a partition compares with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It holds all that is known, or more.
    AsKnown,
    /// It ends at `last`, and `taken` is a position beyond that.
    WentBack { last: Seq, taken: Seq },
    /// There is no such partition.
    Missing,
}

/// Asks where the partition ends. What is known is looked up first: whatever is appended meanwhile makes no difference.
pub(crate) async fn end(link: &Link, partition: Partition) -> Result<End, Miss> {
    let taken = link.floors.of(partition);
    let Some(info) = stream::find(link, partition).await? else { return Ok(End::Missing) };
    let last = Seq::new(info.state.last_sequence);
    Ok(if last < taken { End::WentBack { last, taken } } else { End::AsKnown })
}

/// Why nothing can be done with a partition that ends so.
pub(crate) fn cause(end: End) -> Cause {
    match end {
        End::WentBack { last, taken } => Cause::new(&format!(
            "the partition ends at position {last}, and {taken} was assigned before: it has lost events, and a position \
             must not be used twice"
        )),
        End::AsKnown | End::Missing => Cause::new("the partition has no end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_stays_taken_and_what_is_stored_is_what_was_said_last() {
        let floors = Floors::new(Partitions::new(2).unwrap());
        let partition = Partition::new(1);
        let mark = |seq| StoredMark { partition, seq: Seq::new(seq) };
        floors.acknowledged(partition, Seq::new(7));
        floors.acknowledged(partition, Seq::new(5));
        assert_eq!(floors.of(partition), Seq::new(7));
        floors.stored(mark(9));
        assert_eq!(floors.of(partition), Seq::new(9));
        floors.stored(mark(3));
        assert_eq!(floors.of(partition), Seq::new(7));
        assert_eq!([0, 2].map(|number| floors.of(Partition::new(number))), [Seq::ZERO; 2]);
    }
}
