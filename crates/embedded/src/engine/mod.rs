//! The engine: one task that writes the file, and what every handle shares with it.
//!
//! Invariant: this task alone writes. It gathers what is asked for while it commits, and commits that in one transaction,
//! with one sync of the disk: the group commit. What it has committed it tells to the feeds and readers, and only then to
//! those who asked.

mod append;
mod positions;
mod task;
mod work;
mod writer;

use std::sync::{Mutex, PoisonError};

use huddle_domain::{Event, NewEvent, Partition, Seq};
use huddle_log::{Condition, LogError, Pending, PublishError, pending};
use huddle_store::{Applied, Batch, Imported, StoreError};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use self::work::{Append, Reply, Task, Trouble, Work};
pub(crate) use self::{positions::Positions, writer::Writer};

/// Requests that wait for the writer; more wait to be queued.
const QUEUE_CAPACITY: usize = 4_096;

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct Engine {
    queue: mpsc::Sender<Work>,
    closing: CancellationToken,
    /// Why the writer has failed for good; set once.
    failure: watch::Receiver<Option<String>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the writer. Must be called within a Tokio runtime.
    pub(crate) fn start(writer: Writer) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_CAPACITY);
        let closing = CancellationToken::new();
        let failure = watch::Sender::new(None);
        let failed = failure.subscribe();
        let task = tokio::spawn(writer.run(requests, failure, closing.clone()));
        Self { queue, closing, failure: failed, task: Mutex::new(Some(task)) }
    }

    /// Queues an event. Cancel safe: nothing is queued before this returns.
    pub(crate) async fn append(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        let (resolver, outcome) = pending();
        let append = Append { event, condition, resolver };
        match self.queue.send(Work::Append(append)).await {
            Ok(()) => Ok(outcome),
            Err(_) => Err(self.trouble().publish_error()),
        }
    }

    pub(crate) async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
        let task = |reply| Task::Prepare { partition, highest_stored, reply };
        self.ask(task).await.unwrap_or_else(|trouble| Err(trouble.log_error("preparing a partition")))
    }

    pub(crate) async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
        let task = |reply| Task::Advance { partition, stored, above, reply };
        self.ask(task).await.unwrap_or_else(|trouble| Err(trouble.log_error("advancing a partition")))
    }

    /// How far `partition` is stored, after everything that was asked for before.
    pub(crate) async fn progress(&self, partition: Partition) -> Result<Seq, StoreError> {
        let task = |reply| Task::Progress { partition, reply };
        self.ask(task).await.unwrap_or_else(|trouble| Err(trouble.store_error("claiming a partition")))
    }

    pub(crate) async fn apply(&self, partition: Partition, from: Seq, batch: Batch) -> Result<Applied, StoreError> {
        let task = |reply| Task::Apply { partition, from, batch, reply };
        self.ask(task).await.unwrap_or_else(|trouble| Err(trouble.store_error("applying a batch")))
    }

    pub(crate) async fn import(&self, partition: Partition, events: Vec<Event>) -> Result<Imported, StoreError> {
        let task = |reply| Task::Import { partition, events, reply };
        self.ask(task).await.unwrap_or_else(|trouble| Err(trouble.store_error("importing events")))
    }

    /// What keeps the writer from writing for good, if anything does.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Waits until the writer has failed for good; without end while it has not. Cancel safe.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        if let Ok(reason) = failure.wait_for(Option::is_some).await
            && let Some(reason) = &*reason
        {
            return reason.clone();
        }
        // It was closed in good order.
        std::future::pending().await
    }

    /// Lets the writer finish what is queued, and waits for its end.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer ended in disorder");
        }
    }

    /// Whether it is being closed, or is closed.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    async fn ask<T>(&self, task: impl FnOnce(Reply<T>) -> Task) -> Result<T, Trouble> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Work::Task(task(reply))).await.map_err(|_| self.trouble())?;
        answer.await.map_err(|_| self.trouble())
    }

    fn trouble(&self) -> Trouble {
        self.failure().map_or(Trouble::Closed, Trouble::Failed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
