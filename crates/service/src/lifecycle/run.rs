//! Owns a process's tasks, and ends them in stages when a signal, a failure or a request says so.

use std::{
    borrow::Cow,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::Shutdown;

/// How long tasks get between the hard stage and being aborted.
const HARD_STOP_WAIT: Duration = Duration::from_secs(2);
/// How long an aborted task is waited for. One that blocks its thread cannot be aborted and is left behind.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Why a process did not end well.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The signal handlers could not be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// A task ended with an error, which stopped the process.
    #[error("task {task} failed: {source}")]
    TaskFailed {
        /// The task's name.
        task: Cow<'static, str>,
        /// What it ended with.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A task panicked, which stopped the process. The panic's own text went to standard error.
    #[error("task {task} panicked")]
    TaskPanicked {
        /// The task's name.
        task: Cow<'static, str>,
    },
    /// Tasks were still at work when the time to drain was over.
    #[error("not finished after {drain_timeout:?} of draining: {}", tasks.join(", "))]
    DrainTimedOut {
        /// The time that they had.
        drain_timeout: Duration,
        /// The names of the tasks.
        tasks: Vec<Cow<'static, str>>,
    },
    /// A second signal came while draining.
    #[error("stopped by a second signal before draining was finished")]
    Aborted,
}

/// The tasks of one process (or of one test) and their common end.
///
/// Dropping it without running it leaves its tasks to the runtime.
#[derive(Debug)]
pub struct Lifecycle {
    shutdown: Shutdown,
    drain_timeout: Duration,
    work: TaskTracker,
    background: TaskTracker,
    // A plain mutex: held for a push or a scan, never across an await.
    tasks: Mutex<Vec<Task>>,
    // The first failure; later ones are mostly its consequences.
    failure: Arc<Mutex<Option<LifecycleError>>>,
}

#[derive(Debug)]
struct Task {
    name: Cow<'static, str>,
    is_work: bool,
    abort: AbortHandle,
}

#[derive(Debug, PartialEq, Eq)]
enum Drain {
    Finished,
    TimedOut,
    SecondSignal,
}

impl Lifecycle {
    /// `drain_timeout` bounds the time between the first and the second stage.
    pub fn new(drain_timeout: Duration) -> Self {
        Self {
            shutdown: Shutdown::new(),
            drain_timeout,
            work: TaskTracker::new(),
            background: TaskTracker::new(),
            tasks: Mutex::default(),
            failure: Arc::default(),
        }
    }

    /// The stages of this process's shutdown.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Runs a task that draining waits for. It returns soon after the soft stage has begun. An error or a panic ends the
    /// process with failure; an early `Ok` does not.
    ///
    /// Must be called within a Tokio runtime.
    pub fn spawn<F, E>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        self.start(name.into(), true, future);
    }

    /// Runs a task that serves the others until they have ended, such as the admin endpoint. It returns soon after the
    /// hard stage has begun. Failure is treated as in [`spawn`](Self::spawn).
    pub fn spawn_background<F, E>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        self.start(name.into(), false, future);
    }

    /// Waits for SIGTERM, SIGINT, a failed task or [`Shutdown::request`], then shuts down: soft stage, a wait of at most
    /// `drain_timeout`, hard stage, abort. A second signal goes straight to the abort.
    ///
    /// Bounded from the first signal on: it returns within the drain timeout and 3 s.
    ///
    /// # Errors
    /// The first failed task; else what cut the draining short.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future leaves the tasks running.
    pub async fn run_until_signal(self) -> Result<(), LifecycleError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(LifecycleError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(LifecycleError::Signals)?;
        self.run(async || {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "signal received"),
                _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "signal received"),
            }
        })
        .await
    }

    /// As [`run_until_signal`](Self::run_until_signal), but leaves the process's signals alone: for a service among others
    /// in one process, and for tests.
    pub async fn run_until_requested(self) -> Result<(), LifecycleError> {
        self.run(std::future::pending::<()>).await
    }

    fn start<F, E>(&self, name: Cow<'static, str>, is_work: bool, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        let running = tokio::spawn(async { future.await.map_err(Into::into) });
        let mut tasks = locked(&self.tasks);
        tasks.retain(|task| !task.abort.is_finished());
        tasks.push(Task { name: name.clone(), is_work, abort: running.abort_handle() });
        drop(tasks);

        let shutdown = self.shutdown.clone();
        let first_failure = Arc::clone(&self.failure);
        let watch = async move {
            let failure = match running.await {
                Ok(Ok(())) => return tracing::debug!(task = %name, "task ended"),
                Ok(Err(source)) => LifecycleError::TaskFailed { task: name, source },
                Err(end) if end.is_panic() => LifecycleError::TaskPanicked { task: name },
                Err(_) => return tracing::warn!(task = %name, "task aborted"),
            };
            tracing::error!(error = %failure, "task ended the process");
            locked(&first_failure).get_or_insert(failure);
            shutdown.request();
        };
        if is_work {
            self.work.spawn(watch)
        } else {
            self.background.spawn(watch)
        };
    }

    pub(super) async fn run(self, mut signal: impl AsyncFnMut()) -> Result<(), LifecycleError> {
        tokio::select! {
            () = self.shutdown.soft().cancelled() => {}
            () = signal() => self.shutdown.request(),
        }
        tracing::info!(drain_timeout = ?self.drain_timeout, "shutting down");
        self.work.close();
        self.background.close();

        let drain = tokio::select! {
            biased;
            () = self.work.wait() => Drain::Finished,
            () = signal() => Drain::SecondSignal,
            () = sleep(self.drain_timeout) => Drain::TimedOut,
        };
        let unfinished = self.unfinished_work();
        self.shutdown.hard().cancel();
        if drain != Drain::SecondSignal {
            tokio::select! {
                biased;
                () = self.all_ended() => {}
                () = signal() => {}
                () = sleep(HARD_STOP_WAIT) => {}
            }
        }
        self.abort_all().await;

        if let Some(failure) = locked(&self.failure).take() {
            return Err(failure);
        }
        match drain {
            Drain::Finished => Ok(()),
            Drain::TimedOut => {
                Err(LifecycleError::DrainTimedOut { drain_timeout: self.drain_timeout, tasks: unfinished })
            }
            Drain::SecondSignal => Err(LifecycleError::Aborted),
        }
    }

    fn unfinished_work(&self) -> Vec<Cow<'static, str>> {
        let tasks = locked(&self.tasks);
        tasks.iter().filter(|task| task.is_work && !task.abort.is_finished()).map(|task| task.name.clone()).collect()
    }

    async fn all_ended(&self) {
        self.work.wait().await;
        self.background.wait().await;
    }

    async fn abort_all(&self) {
        locked(&self.tasks).iter().for_each(|task| task.abort.abort());
        if timeout(ABORT_WAIT, self.all_ended()).await.is_err() {
            tracing::warn!("a task blocks its thread and is left behind");
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
