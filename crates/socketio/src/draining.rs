//! Whether a worker thread is on its way out, and by when.

use std::{cell::Cell, time::Duration};

use tokio::{sync::Notify, time::Instant};

/// Told once that the worker thread is on its way out.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    drain: Cell<Option<Drain>>,
    begun: Notify,
}

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    pub(crate) since: Instant,
    /// How long it takes.
    pub(crate) over: Duration,
}

impl Draining {
    /// The first call counts.
    pub(crate) fn begin(&self, over: Duration) {
        if self.drain.get().is_none() {
            self.drain.set(Some(Drain { since: Instant::now(), over }));
            self.begun.notify_waiters();
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.drain.get().is_some()
    }

    /// Waits until it has begun. Cancel safe.
    pub(crate) async fn begun(&self) -> Drain {
        loop {
            let begun = self.begun.notified();
            if let Some(drain) = self.drain.get() {
                return drain;
            }
            begun.await;
        }
    }
}
