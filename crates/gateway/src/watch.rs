//! The gateway's eye on what it needs: readiness of log, history and directory, and the stored watermarks.

use std::{sync::Arc, time::Duration};

use huddle_bus::{Bus, Losses};
use huddle_log::{Log, Watermarks};
use huddle_service::{
    backoff::Backoff,
    health::{ComponentState, Readiness},
    lifecycle::Shutdown,
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use crate::{
    metrics::GatewayMetrics,
    upstream::{self, Channels},
};

/// The pause between two looks at the same part.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the log may take to say that it can be used. The log itself tries for longer.
const LOG_PATIENCE: Duration = Duration::from_secs(4);
const BACKOFF_BASE: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// Counts what the bus loses, until it is dropped.
pub(crate) async fn count_losses(bus: Arc<dyn Bus>, metrics: GatewayMetrics) {
    let mut before = Losses::default();
    loop {
        let now = bus.losses();
        metrics.lost(before, now);
        before = now;
        sleep(INTERVAL).await;
    }
}

/// The gateway's components as `/readyz` shows them.
pub(crate) struct Watch {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) upstream: Channels,
    pub(crate) readiness: Readiness,
}

impl Watch {
    /// Keeps the readiness current until shutdown.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let Self { log, upstream, readiness } = self;
        let look = async {
            if upstream.are_watched {
                tokio::join!(
                    watch_log(&*log, readiness.component("log")),
                    watch_service(upstream.history, readiness.component("history")),
                    watch_service(upstream.directory, readiness.component("directory")),
                );
            } else {
                watch_log(&*log, readiness.component("log")).await;
            }
        };
        shutdown.soft().run_until_cancelled(look).await;
    }
}

async fn watch_log(log: &dyn Log, component: ComponentState) {
    loop {
        match timeout(LOG_PATIENCE, log.check()).await {
            Ok(Ok(())) => component.set_ready(),
            Ok(Err(error)) => component.set_not_ready(error.to_string()),
            Err(_elapsed) => component.set_not_ready("does not answer"),
        }
        sleep(INTERVAL).await;
    }
}

async fn watch_service(channel: Channel, component: ComponentState) {
    loop {
        if upstream::answers(channel.clone()).await {
            component.set_ready();
        } else {
            component.set_not_ready("does not answer");
        }
        sleep(INTERVAL).await;
    }
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
