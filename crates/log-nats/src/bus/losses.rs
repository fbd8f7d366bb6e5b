//! Counts what there was no room for, and tells of it now and then.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use huddle_bus::Losses;
use tokio::time::Instant;

/// How often a loss is told: a flood is no reason for another one.
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Counters {
    signals: AtomicU64,
    requests: AtomicU64,
    replies: AtomicU64,
    messages: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Counters {
    pub(super) fn lose_signals(&self, count: u64) {
        self.add(&self.signals, count);
    }

    pub(super) fn lose_request(&self) {
        self.add(&self.requests, 1);
    }

    pub(super) fn lose_reply(&self) {
        self.add(&self.replies, 1);
    }

    /// Messages came faster than they could be told apart.
    pub(super) fn lose_messages(&self) {
        self.add(&self.messages, 1);
    }

    pub(super) fn losses(&self) -> Losses {
        Losses {
            signals: self.signals.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            replies: self.replies.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
        }
    }

    fn add(&self, counter: &AtomicU64, count: u64) {
        if count == 0 {
            return;
        }
        counter.fetch_add(count, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            drop(told);
            let Losses { signals, requests, replies, messages } = self.losses();
            tracing::warn!(signals, requests, replies, messages, "the bus has dropped what it had no room for");
        }
    }
}
