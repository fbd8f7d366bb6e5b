//! What the writer can be asked to do, and the answers.

use huddle_domain::{Event, NewEvent, Partition, Seq};
use huddle_log::{Condition, LogError, PublishError, Resolver};
use huddle_store::{Applied, Batch, Imported, StoreError};
use tokio::sync::oneshot;

/// Where an answer goes. Whoever asked may be gone; what was asked for happens all the same.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// One request to the writer.
pub(super) enum Work {
    Append(Append),
    Task(Task),
}

/// An event to append.
pub(super) struct Append {
    pub(super) event: NewEvent,
    pub(super) condition: Condition,
    pub(super) resolver: Resolver,
}

/// Anything else that writes, or that must see what was written before.
pub(super) enum Task {
    Prepare { partition: Partition, highest_stored: Seq, reply: Reply<Result<(), LogError>> },
    Advance { partition: Partition, stored: Seq, above: Seq, reply: Reply<Result<Seq, LogError>> },
    Progress { partition: Partition, reply: Reply<Result<Seq, StoreError>> },
    Apply { partition: Partition, from: Seq, batch: Batch, reply: Reply<Result<Applied, StoreError>> },
    Import { partition: Partition, events: Vec<Event>, reply: Reply<Result<Imported, StoreError>> },
}

/// Why nothing can be written any longer, or for now.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Trouble {
    /// The disk, or what the file may take, is full.
    #[error("the disk is full, or the file has reached `embedded.max_bytes`")]
    Full,
    /// Another request that was to be committed at the same time failed in a way that undid all of them. Nothing was written.
    #[error("nothing was written: a request that was to be committed together with this one failed")]
    Undone,
    /// The file cannot be written: this process cannot go on.
    #[error("the file cannot be written any longer: {0}")]
    Failed(String),
    /// The process ends.
    #[error("the file is being closed")]
    Closed,
}

impl Trouble {
    pub(super) fn publish_error(&self) -> PublishError {
        match self {
            Self::Full => PublishError::Full,
            Self::Undone | Self::Failed(_) | Self::Closed => PublishError::Unavailable { source: self.clone().into() },
        }
    }

    pub(super) fn store_error(&self, context: &'static str) -> StoreError {
        StoreError::Unavailable { context, source: self.clone().into() }
    }

    pub(super) fn log_error(&self, context: &'static str) -> LogError {
        LogError::Unavailable { context, source: self.clone().into() }
    }
}
