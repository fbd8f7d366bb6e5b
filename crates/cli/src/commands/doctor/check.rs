//! Runs the checks: all at once, each bounded in time, none able to keep another from its end.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    finding::{Finding, Id},
    report::Display,
};

/// How often it is shown what is still being checked.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a check may take unless it says otherwise.
pub(crate) const CHECK_MAX: Duration = Duration::from_secs(10);

/// What a check ends with.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What it found: at least one.
    Found(Vec<Finding>),
    /// It could not be made, because of something that another check reports.
    Skipped(String),
}

impl Outcome {
    pub(crate) fn ok(id: Id, found: impl Into<String>) -> Self {
        Self::Found(vec![Finding::ok(id, found)])
    }

    /// `findings`, or, when there are none, that all is well.
    pub(crate) fn found_or(findings: Vec<Finding>, id: Id, found: impl Into<String>) -> Self {
        if findings.is_empty() { Self::ok(id, found) } else { Self::Found(findings) }
    }
}

impl From<Finding> for Outcome {
    fn from(finding: Finding) -> Self {
        Self::Found(vec![finding])
    }
}

/// A question about the installation.
pub(crate) struct Check {
    /// Its name, and that of the finding when all is well.
    pub(crate) id: Id,
    time_max: Duration,
    work: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl Check {
    pub(crate) fn new(id: Id, work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self { id, time_max: CHECK_MAX, work: Box::pin(work) }
    }

    /// A check that asks the file system, which may hang.
    pub(crate) fn blocking(id: Id, work: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self::new(id, async move { spawn_blocking(work).await.unwrap_or_else(|_| failed(id).into()) })
    }

    pub(crate) fn with_time(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    async fn run(self) -> Outcome {
        let (id, time_max) = (self.id, self.time_max);
        // A task of its own: a panic stays in it.
        match tokio::spawn(timeout(time_max, self.work)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                let found = format!("no answer within {time_max:?}");
                let remedy = "look at what is checked, and at the load of this machine; then try again";
                Finding::problem(Id::CheckTimeout, found, remedy).about(id.as_str()).into()
            }
            Err(_) => failed(id).into(),
        }
    }
}

fn failed(id: Id) -> Finding {
    let remedy = "this is a mistake in huddle: report it with the output of `huddle doctor --json`";
    Finding::problem(Id::CheckFailed, "the check broke off", remedy).about(id.as_str())
}

/// How far a check has come, for people who wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    pub(crate) fn say(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// There is nothing more to tell.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs all of `checks` and shows each as soon as those before it are shown.
pub(crate) async fn run(checks: Vec<Check>, progress: &Progress, display: &mut Display) -> Vec<(Id, Outcome)> {
    let ids: Vec<Id> = checks.iter().map(|check| check.id).collect();
    let mut outcomes: Vec<Option<Outcome>> = ids.iter().map(|_| None).collect();
    let mut running: FuturesUnordered<_> =
        checks.into_iter().enumerate().map(|(index, check)| async move { (index, check.run().await) }).collect();
    let mut shown = 0;
    let mut ticks = interval(STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = running.next() => {
                let Some((index, outcome)) = ended else { break };
                outcomes[index] = Some(outcome);
                while let Some(Some(outcome)) = outcomes.get(shown) {
                    display.outcome(ids[shown], outcome);
                    shown += 1;
                }
            }
            _ = ticks.tick() => {
                let waited_for = ids.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none());
                display.status(&waited_for.map(|(id, _)| id.as_str()).collect::<Vec<_>>(), progress);
            }
        }
    }
    ids.into_iter().zip(outcomes.into_iter().flatten()).collect()
}

/// Something that several checks look at, asked for once.
#[derive(Debug)]
pub(crate) struct Shared<T>(watch::Receiver<Option<Arc<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Begins to ask.
    pub(crate) fn ask(question: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move { sender.send_replace(Some(Arc::new(question.await))) });
        Self(receiver)
    }

    /// The answer; `None` when asking broke off.
    pub(crate) async fn answer(&self) -> Option<Arc<T>> {
        let mut receiver = self.0.clone();
        receiver.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_panics_keeps_no_other_from_its_end() {
        let checks = vec![
            Check::new(Id::Nats, std::future::pending()),
            Check::new(Id::Postgres, async { panic!("a mistake") }),
            Check::new(Id::History, async { Outcome::ok(Id::History, "fine") }),
        ];
        let outcomes = run(checks, &Progress::default(), &mut Display::silent()).await;
        let ids = outcomes.iter().map(|(check, outcome)| match outcome {
            Outcome::Found(findings) => (*check, findings[0].id),
            Outcome::Skipped(reason) => panic!("{reason}"),
        });
        let expected = [(Id::Nats, Id::CheckTimeout), (Id::Postgres, Id::CheckFailed), (Id::History, Id::History)];
        assert_eq!(ids.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn what_is_asked_once_is_answered_to_all_and_a_break_off_is_told() {
        let shared = Shared::ask(async { 7 });
        assert_eq!((shared.answer().await.as_deref(), shared.clone().answer().await.as_deref()), (Some(&7), Some(&7)));
        let broken: Shared<()> = Shared::ask(async { panic!("a mistake") });
        assert!(broken.answer().await.is_none());
    }
}
