//! Where each partition of the log ends.

use huddle_domain::{Partition, Partitions, Seq};
use sqlx::{Connection as _, SqliteConnection};

/// The last position of each partition that is taken; `None` for a partition that is not prepared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Positions(Box<[Option<Seq>]>);

impl Positions {
    /// Reads them from the file. Positions up to a partition's floor are taken, and those of all of its events. Waits for
    /// a commit that a writer before this one has left under way.
    pub(crate) async fn read(connection: &mut SqliteConnection, partitions: Partitions) -> sqlx::Result<Self> {
        const ENDS: &str = "
            SELECT partition,
                   max(floor_seq, coalesce((SELECT max(seq) FROM events WHERE events.partition = log_partitions.partition), 0))
            FROM log_partitions";
        let mut positions = Self(partitions.iter().map(|_| None).collect());
        let mut alone = connection.begin_with("BEGIN IMMEDIATE").await?;
        let ends = sqlx::query_as::<_, (i64, i64)>(ENDS).fetch_all(&mut *alone).await?;
        alone.rollback().await?;
        for (partition, end) in ends {
            if let (Ok(partition), Ok(end)) = (u16::try_from(partition), u64::try_from(end)) {
                positions.set(Partition::new(partition), Seq::new(end));
            }
        }
        Ok(positions)
    }

    pub(crate) fn end(&self, partition: Partition) -> Option<Seq> {
        self.0.get(usize::from(partition.number())).copied().flatten()
    }

    /// Takes everything up to `end`.
    pub(super) fn set(&mut self, partition: Partition, end: Seq) {
        if let Some(slot) = self.0.get_mut(usize::from(partition.number())) {
            *slot = Some(end);
        }
    }

    /// Takes everything up to `seq` in a partition that is prepared: something has come in with a position of its own.
    pub(super) fn take(&mut self, partition: Partition, seq: Seq) {
        if let Some(Some(end)) = self.0.get_mut(usize::from(partition.number())) {
            *end = seq.max(*end);
        }
    }
}
