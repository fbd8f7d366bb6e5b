//! How far each partition is stored, as heard from the log and seen in the store.

use futures_util::StreamExt as _;
use huddle_domain::{Partition, Partitions, Seq};
use tokio::sync::watch;

use crate::{Log, LogError, StoredMark};

/// The stored watermark of every partition: what has been announced, and so not what any one copy of the store holds. A
/// database that was restored, or a standby that was promoted, may hold less; who sees that [`lower`](Self::lower)s the
/// watermark. It says when to look, and the look itself has to make sure.
#[derive(Debug)]
pub struct Watermarks {
    // One watch per partition: a waiter is woken by its own partition only.
    partitions: Box<[watch::Sender<Seq>]>,
}

impl Watermarks {
    /// Watermarks of which nothing is known yet: [`Seq::ZERO`] everywhere.
    pub fn new(partitions: Partitions) -> Self {
        Self { partitions: partitions.iter().map(|_| watch::Sender::new(Seq::ZERO)).collect() }
    }

    /// How far `partition` is known to be stored; [`Seq::ZERO`] for a partition that there is not.
    pub fn stored(&self, partition: Partition) -> Seq {
        self.sender(partition).map_or(Seq::ZERO, |sender| *sender.borrow())
    }

    /// Takes note that `mark` holds. A lower mark than the known one changes nothing.
    pub fn raise(&self, mark: StoredMark) {
        if let Some(sender) = self.sender(mark.partition) {
            sender.send_if_modified(|seq| {
                let rises = mark.seq > *seq;
                if rises {
                    *seq = mark.seq;
                }
                rises
            });
        }
    }

    /// Takes note that the store was seen at `mark`, and holds no more. A higher mark than the known one changes nothing.
    pub fn lower(&self, mark: StoredMark) {
        if let Some(sender) = self.sender(mark.partition) {
            sender.send_if_modified(|seq| {
                let falls = mark.seq < *seq;
                if falls {
                    *seq = mark.seq;
                }
                falls
            });
        }
    }

    /// Waits until `partition` is stored up to `seq`; without end when it never is. Cancel safe.
    pub async fn reached(&self, partition: Partition, seq: Seq) {
        match self.sender(partition) {
            Some(sender) => {
                // The sender lives as long as `self`, so the wait ends only by reaching the position.
                let _ = sender.subscribe().wait_for(|stored| *stored >= seq).await;
            }
            None => std::future::pending().await,
        }
    }

    /// A receiver that changes whenever the watermark of `partition` does; `None` for a partition that there is not.
    pub fn watch(&self, partition: Partition) -> Option<watch::Receiver<Seq>> {
        self.sender(partition).map(watch::Sender::subscribe)
    }

    /// Raises the watermarks by what `log` announces, until the feed ends or fails; the caller starts it again.
    pub async fn follow(&self, log: &dyn Log) -> Result<(), LogError> {
        let mut marks = log.stored_marks().await?;
        while let Some(mark) = marks.next().await {
            self.raise(mark);
        }
        Ok(())
    }

    fn sender(&self, partition: Partition) -> Option<&watch::Sender<Seq>> {
        self.partitions.get(usize::from(partition.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_position_is_stored_and_late_marks_change_nothing() {
        let watermarks = Watermarks::new(Partitions::new(2).unwrap());
        let partition = Partition::new(1);
        let raise = |seq| watermarks.raise(StoredMark { partition, seq: Seq::new(seq) });
        let wait = watermarks.reached(partition, Seq::new(7));
        let raises = async {
            raise(9);
            raise(3);
        };
        tokio::join!(wait, raises);
        assert_eq!(watermarks.stored(partition), Seq::new(9));
        assert_eq!(watermarks.stored(Partition::new(0)), Seq::ZERO);
    }

    #[tokio::test]
    async fn a_store_that_went_back_is_waited_for_again() {
        let watermarks = Watermarks::new(Partitions::new(1).unwrap());
        let partition = Partition::new(0);
        let mark = |seq| StoredMark { partition, seq: Seq::new(seq) };
        watermarks.raise(mark(9));
        watermarks.lower(mark(12));
        assert_eq!(watermarks.stored(partition), Seq::new(9));
        watermarks.lower(mark(4));
        assert_eq!(watermarks.stored(partition), Seq::new(4));
        let wait = watermarks.reached(partition, Seq::new(9));
        let raise = async { watermarks.raise(mark(10)) };
        tokio::join!(wait, raise);
    }
}
