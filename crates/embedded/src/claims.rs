//! Who may write which partition. One process has the file, so claims live in its memory and end with it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use huddle_domain::{Event, Partition, Seq};
use huddle_store::{Applied, Batch, Imported, PartitionWriter, StoreError};

use crate::{engine::Engine, store};

/// The partitions that have a writer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<Partition>>>);

/// A claim to one partition, until dropped.
#[derive(Debug)]
struct Claim {
    claims: Claims,
    partition: Partition,
}

impl Claims {
    fn take(&self, partition: Partition) -> Option<Claim> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition);
        is_free.then(|| Claim { claims: self.clone(), partition })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.partition);
    }
}

/// Claims `partition`; `None` when it has a writer.
pub(crate) async fn claim(
    claims: &Claims,
    engine: &Arc<Engine>,
    partition: Partition,
) -> Result<Option<Box<dyn PartitionWriter>>, StoreError> {
    let Some(claim) = claims.take(partition) else { return Ok(None) };
    // Queued behind what the writer before may have left in the queue.
    let position = engine.progress(partition).await?;
    Ok(Some(Box::new(Writer { engine: Arc::clone(engine), claim, position, in_doubt: false })))
}

#[derive(Debug)]
struct Writer {
    engine: Arc<Engine>,
    claim: Claim,
    position: Seq,
    /// Set while the outcome of a request is not known: the position is not to be trusted from then on.
    in_doubt: bool,
}

#[async_trait]
impl PartitionWriter for Writer {
    fn progress(&self) -> Seq {
        self.position
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, StoreError> {
        if self.in_doubt {
            return Err(StoreError::NotOwner);
        }
        store::check_order(&batch)?;
        // Stays set when this future is dropped half-way.
        self.in_doubt = true;
        let applied = self.engine.apply(self.claim.partition, self.position, batch).await?;
        self.position = applied.through;
        self.in_doubt = false;
        Ok(applied)
    }

    async fn import(&mut self, events: Vec<Event>) -> Result<Imported, StoreError> {
        if self.in_doubt {
            return Err(StoreError::NotOwner);
        }
        self.in_doubt = true;
        let imported = self.engine.import(self.claim.partition, events).await?;
        self.in_doubt = false;
        Ok(imported)
    }

    async fn confirm(&mut self) -> Result<(), StoreError> {
        if self.in_doubt { Err(StoreError::NotOwner) } else { Ok(()) }
    }
}
