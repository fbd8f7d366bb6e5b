//! What a read must not miss.

use huddle_domain::{Partition, Seq};

use crate::StoreError;

/// A read with a fence sees everything of a partition up to a position, or fails with [`StoreError::Behind`].
///
/// It is judged by the very rows that the read sees, not by what was known before: a database that was restored from a
/// backup, a standby that was promoted and a replica that lags behind all hold less than what has been announced as
/// stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The partition.
    pub partition: Partition,
    /// Everything up to this position must be stored.
    pub seq: Seq,
}

impl Fence {
    /// Judges a read that has seen `stored` as the partition's position.
    ///
    /// # Errors
    /// [`StoreError::Behind`] when it is below the fence.
    pub fn check(self, stored: Seq) -> Result<(), StoreError> {
        if stored >= self.seq { Ok(()) } else { Err(StoreError::Behind { stored }) }
    }
}
