//! Looks up sends that are stored already: what makes a retry safe for good, beyond the log's duplicate window.
//!
//! While one look-up is under way the next ones gather, so that a busy gateway asks once for many sends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use huddle_domain::{Event, SendKey};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{metrics::GatewayMetrics, upstream::History};

/// Look-ups that may wait; beyond it senders wait.
const LOOKUPS_MAX: usize = 1_024;
/// Keys per question, which is what history takes.
const KEYS_PER_QUESTION_MAX: usize = 1_000;
/// How long history is left alone after it failed to answer. Sends go on meanwhile under the log's own duplicate window.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The stored events among those asked for, by key.
pub(crate) type Found = HashMap<SendKey, Event>;

/// A handle on the look-up task. The task ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct PriorSends {
    lookups: mpsc::Sender<Lookup>,
}

#[derive(Debug)]
struct Lookup {
    keys: Vec<SendKey>,
    reply: oneshot::Sender<Arc<Found>>,
}

impl PriorSends {
    /// Starts the task on the calling runtime.
    pub(crate) fn start(history: History, metrics: GatewayMetrics) -> Self {
        let (lookups, receiver) = mpsc::channel(LOOKUPS_MAX);
        tokio::spawn(run(history, metrics, receiver));
        Self { lookups }
    }

    /// The stored events under `keys`, and perhaps others. Nothing when the store does not answer: then only the log's
    /// duplicate window protects against a repeat, and it is counted.
    pub(crate) async fn find(&self, keys: Vec<SendKey>) -> Arc<Found> {
        let (reply, answer) = oneshot::channel();
        // The task ends only with its runtime; then nothing is sent any more either.
        if self.lookups.send(Lookup { keys, reply }).await.is_err() {
            return Arc::default();
        }
        answer.await.unwrap_or_default()
    }
}

async fn run(history: History, metrics: GatewayMetrics, mut receiver: mpsc::Receiver<Lookup>) {
    let mut paused_until = Instant::now();
    let mut lookups = Vec::new();
    while receiver.recv_many(&mut lookups, LOOKUPS_MAX).await > 0 {
        let keys: Vec<SendKey> = lookups.iter_mut().flat_map(|lookup| std::mem::take(&mut lookup.keys)).collect();
        let mut found = Found::with_capacity(0);
        for question in keys.chunks(KEYS_PER_QUESTION_MAX) {
            if Instant::now() < paused_until {
                metrics.prior_send_lookups_skipped.inc_by(question.len() as u64);
                continue;
            }
            match history.find_sends(question).await {
                Ok(events) => found.extend(events.into_iter().map(|event| (event.key(), event))),
                Err(refusal) => {
                    tracing::warn!(reason = %refusal, "cannot look up earlier sends; retries are safe within the log's duplicate window only");
                    metrics.prior_send_lookups_skipped.inc_by(question.len() as u64);
                    paused_until = Instant::now() + PAUSE_AFTER_FAILURE;
                }
            }
        }
        let found = Arc::new(found);
        for lookup in lookups.drain(..) {
            // The sender may have gone away.
            let _ = lookup.reply.send(Arc::clone(&found));
        }
    }
}
