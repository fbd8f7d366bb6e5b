//! The gateway's eye on what it needs: readiness of log, history and directory, and the stored watermarks.

use std::{sync::Arc, time::Duration};

use huddle_log::{Log, Watermarks};
use huddle_service::{
    backoff::Backoff,
    health::{ComponentState, Readiness},
    lifecycle::Shutdown,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use crate::upstream;

/// How often everything is looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the log may take to say that it can be used. The log itself tries for longer, which would hold up the rest.
const LOG_PATIENCE: Duration = Duration::from_secs(4);
const BACKOFF_BASE: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// The gateway's components as `/readyz` shows them.
pub(crate) struct Watch {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) history: Channel,
    pub(crate) directory: Channel,
    pub(crate) readiness: Readiness,
}

impl Watch {
    /// Keeps the readiness current until shutdown.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let log = self.readiness.component("log");
        let history = self.readiness.component("history");
        let directory = self.readiness.component("directory");
        let look = async {
            loop {
                let (log_check, history_answers, directory_answers) = tokio::join!(
                    timeout(LOG_PATIENCE, self.log.check()),
                    upstream::answers(self.history.clone()),
                    upstream::answers(self.directory.clone()),
                );
                match log_check {
                    Ok(Ok(())) => log.set_ready(),
                    Ok(Err(error)) => log.set_not_ready(error.to_string()),
                    Err(_elapsed) => log.set_not_ready("does not answer"),
                }
                set(&history, history_answers);
                set(&directory, directory_answers);
                sleep(INTERVAL).await;
            }
        };
        shutdown.soft().run_until_cancelled(look).await;
    }
}

fn set(component: &ComponentState, answers: bool) {
    if answers { component.set_ready() } else { component.set_not_ready("does not answer") }
}

/// Follows the stored watermarks until shutdown, through whatever happens to the log's connection.
pub(crate) async fn follow_watermarks(log: Arc<dyn Log>, watermarks: Arc<Watermarks>, shutdown: Shutdown) {
    let follow = async {
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP);
        loop {
            if let Err(error) = watermarks.follow(log.as_ref()).await {
                tracing::warn!(%error, "cannot follow the stored watermarks");
            }
            let delay = backoff.next_delay(&mut rand::rng());
            sleep(delay).await;
        }
    };
    shutdown.hard().run_until_cancelled(follow).await;
}
