//! The writer: gathers, commits, tells.

use std::time::SystemTime;

use huddle_domain::{NewEvent, Partitions, UnixMillis};
use huddle_log::Condition;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    append::{Appended, Terms, append},
    positions::Positions,
    task::{Answer, run},
    work::{Append, Task, Trouble, Work},
};
use crate::{error, feeds::Feeds, file::WriterOptions, lock::Lock};

/// Requests that one transaction serves at most.
const REQUESTS_PER_TRANSACTION_MAX: usize = 512;

/// The one connection that writes, and what it has to know.
#[derive(Debug)]
pub(crate) struct Writer {
    connection: SqliteConnection,
    options: WriterOptions,
    partitions: Partitions,
    positions: Positions,
    feeds: Feeds,
    // After the connection: nobody else may write before this one has ended.
    _lock: Lock,
}

/// What a transaction has done, to be told once it is committed.
struct Done {
    positions: Positions,
    appended: Appended,
}

impl Writer {
    pub(crate) fn new(
        connection: SqliteConnection,
        options: WriterOptions,
        partitions: Partitions,
        positions: Positions,
        feeds: Feeds,
        lock: Lock,
    ) -> Self {
        Self { connection, options, partitions, positions, feeds, _lock: lock }
    }

    /// Serves requests until `closing`, and then what is queued; or until the file cannot be written any longer, which it
    /// says in `failure`.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Work>,
        failure: watch::Sender<Option<String>>,
        closing: CancellationToken,
    ) {
        let mut gathered = Vec::with_capacity(REQUESTS_PER_TRANSACTION_MAX);
        loop {
            let count = tokio::select! {
                biased;
                count = requests.recv_many(&mut gathered, REQUESTS_PER_TRANSACTION_MAX) => count,
                () = closing.cancelled(), if !requests.is_closed() => {
                    requests.close();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            if let Err(reason) = self.serve(gathered.drain(..)).await {
                tracing::error!(reason, "the file cannot be written any longer");
                failure.send_replace(Some(reason));
                return;
            }
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the file was not closed in good order");
        }
    }

    /// Serves `works` in one transaction. Fails when nothing more can be written.
    async fn serve(&mut self, works: impl Iterator<Item = Work>) -> Result<(), String> {
        let (mut events, mut resolvers, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for work in works {
            match work {
                Work::Append(Append { event, condition, resolver }) => {
                    events.push((event, condition));
                    resolvers.push(resolver);
                }
                Work::Task(task) => tasks.push(task),
            }
        }
        let mut answers: Vec<Answer> = Vec::with_capacity(tasks.len());
        let outcome = self.transact(&events, tasks, &mut answers).await;
        let trouble = match outcome {
            Ok(done) => {
                self.positions = done.positions;
                self.feeds.tell(self.partitions, &self.positions, &done.appended.events);
                for (resolver, outcome) in resolvers.into_iter().zip(done.appended.outcomes) {
                    resolver.resolve(outcome);
                }
                for answer in answers {
                    answer(Ok(()));
                }
                return Ok(());
            }
            Err(error) => self.recover(&error).await,
        };
        for resolver in resolvers {
            resolver.resolve(Err(trouble.publish_error()));
        }
        for answer in answers {
            answer(Err(&trouble));
        }
        match trouble {
            Trouble::Failed(reason) => Err(reason),
            Trouble::Full | Trouble::Undone | Trouble::Closed => Ok(()),
        }
    }

    async fn transact(
        &mut self,
        events: &[(NewEvent, Condition)],
        tasks: Vec<Task>,
        answers: &mut Vec<Answer>,
    ) -> Result<Done, sqlx::Error> {
        let mut positions = self.positions.clone();
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for task in tasks {
            answers.push(run(&mut transaction, &mut positions, task).await?);
        }
        let appended = if events.is_empty() {
            Appended { outcomes: Vec::new(), events: Vec::new() }
        } else {
            let time = UnixMillis::from(SystemTime::now());
            let terms = Terms { partitions: self.partitions, time, has_room: self.options.has_room() };
            append(&mut transaction, terms, &mut positions, events).await?
        };
        transaction.commit().await?;
        Ok(Done { positions, appended })
    }

    /// Says what a lost transaction means, and makes the writer fit for the next one if that can be.
    async fn recover(&mut self, error: &sqlx::Error) -> Trouble {
        let trouble = if error::is_full(error) {
            Trouble::Full
        } else if error::is_undone(error) {
            Trouble::Undone
        } else {
            // What reached the disk is not known after a failed write or sync, and a second sync may claim success: only a
            // fresh look at the file, by a new process, tells (https://www.sqlite.org/atomiccommit.html).
            return Trouble::Failed(error.to_string());
        };
        tracing::warn!(%error, "a transaction was undone");
        // SQLite may have ended the transaction by itself, which the connection's own count of transactions does not see.
        match self.options.connect().await {
            Ok(connection) => {
                self.connection = connection;
                trouble
            }
            Err(error) => Trouble::Failed(error.to_string()),
        }
    }
}
