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

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use futures_util::FutureExt as _;
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
        let task = tokio::spawn(supervised(writer.run(requests, failure.clone(), closing.clone()), failure));
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

/// Runs the writer, and says so when it ends by a panic: nothing can be written then, and only a new process is sure of
/// what has been.
async fn supervised(run: impl Future<Output = ()>, failure: watch::Sender<Option<String>>) {
    // What the writer held is gone with it.
    if AssertUnwindSafe(run).catch_unwind().await.is_err() {
        failure.send_replace(Some("the task that writes has panicked".to_owned()));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use huddle_log::Log;
    use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
    use tokio::time::timeout;

    use super::*;
    use crate::{Config, Embedded};

    const PARTITION: Partition = Partition::new(0);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_writer_that_panics_is_told_of_as_one_that_cannot_write_any_longer() {
        let (queue, requests) = mpsc::channel(1);
        let failure = watch::Sender::new(None);
        let failed = failure.subscribe();
        let run = async move {
            let mut requests: mpsc::Receiver<Work> = requests;
            let _work = requests.recv().await;
            panic!("the test wants it so");
        };
        let task = tokio::spawn(supervised(run, failure));
        let engine = Engine { queue, closing: CancellationToken::new(), failure: failed, task: Mutex::new(Some(task)) };
        // Whoever has asked is answered, and whoever asks next.
        for _ in 0..2 {
            let outcome = timeout(PATIENCE, engine.progress(PARTITION)).await.unwrap();
            assert!(outcome.is_err_and(|error| error.is_retryable()));
        }
        let reason = timeout(PATIENCE, engine.failed()).await.unwrap();
        assert!(reason.contains("panicked"), "{reason}");
        timeout(PATIENCE, engine.close()).await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_file_ends_the_writer_whoever_comes_upon_it() {
        const DAMAGE: &str = "
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET rootpage = 1000000 WHERE name = 'log_progress';
            PRAGMA schema_version = 1000000;";
        let directory = tempfile::tempdir().unwrap();
        let config = Config { directory: directory.path().to_owned(), ..Config::default() };
        let embedded = Embedded::open(&config).await.unwrap();
        embedded.prepare(PARTITION, Seq::ZERO).await.unwrap();
        let mut other = SqliteConnectOptions::new().filename(&embedded.file.path).connect().await.unwrap();
        sqlx::raw_sql(DAMAGE).execute(&mut other).await.unwrap();

        let batch = Batch { through: Seq::new(1), ..Batch::default() };
        let outcome = timeout(PATIENCE, embedded.engine.apply(PARTITION, Seq::ZERO, batch)).await.unwrap();
        assert!(outcome.is_err());
        let reason = timeout(PATIENCE, embedded.failed()).await.unwrap();
        assert!(reason.contains("malformed"), "{reason}");
        assert!(Log::check(&*embedded).await.is_err());
    }
}
