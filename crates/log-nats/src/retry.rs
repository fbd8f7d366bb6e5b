//! Bounded waiting for answers: how long one request may take, how long a question may, and the pauses between.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use huddle_log::LogError;
use rand::RngExt as _;
use tokio::time::{Instant, sleep, timeout};

/// How long one request waits for its reply. A paused server is not worth more; the next attempt may find another.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question is repeated: longer than a leader election takes after its leader was killed (measured: 7 s).
const ANSWER_PATIENCE: Duration = Duration::from_secs(12);
/// The client queues requests while it has no connection, and its own time-out does not cover that wait.
const QUEUEING_ALLOWANCE: Duration = Duration::from_millis(500);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What went wrong, in words. Holds no payload and no address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(Arc<str>);

impl Cause {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The error and what caused it, as one line.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let inner_text = inner.to_string();
            if !text.ends_with(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            source = inner.source();
        }
        Self(text.into())
    }

    pub(crate) fn unavailable(self, context: &'static str) -> LogError {
        LogError::Unavailable { context, source: Box::new(self) }
    }
}

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) enum Miss {
    /// Asking again may help.
    Retry(Cause),
    /// It does not.
    Final(LogError),
}

/// The wait after failed attempt number `attempt`, counted from 0: doubling, with jitter.
pub(crate) fn pause(attempt: u32) -> Duration {
    let ceiling = PAUSE_MIN.saturating_mul(1 << attempt.min(8)).min(PAUSE_MAX);
    ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Asks until there is an answer, for at most [`ANSWER_PATIENCE`].
///
/// # Cancel safety
/// Dropping the future stops the asking.
pub(crate) async fn until_answered<T, F>(context: &'static str, ask: impl FnMut() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, Miss>>,
{
    until_answered_for(context, Limits::default(), ask).await
}

/// How long a question is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) patience: Duration,
    /// Each time.
    pub(crate) attempt: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: ANSWER_PATIENCE, attempt: REQUEST_TIMEOUT + QUEUEING_ALLOWANCE }
    }
}

/// Asks until there is an answer, within `limits`.
pub(crate) async fn until_answered_for<T, F>(
    context: &'static str,
    limits: Limits,
    mut ask: impl FnMut() -> F,
) -> Result<T, LogError>
where
    F: Future<Output = Result<T, Miss>>,
{
    let deadline = Instant::now() + limits.patience;
    let mut attempt = 0;
    loop {
        let cause = match timeout(limits.attempt, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Miss::Final(error))) => return Err(error),
            Ok(Err(Miss::Retry(cause))) => cause,
            Err(_) => Cause::new("no answer in time"),
        };
        let pause = pause(attempt);
        if Instant::now() + pause >= deadline {
            return Err(cause.unavailable(context));
        }
        attempt += 1;
        sleep(pause).await;
    }
}
