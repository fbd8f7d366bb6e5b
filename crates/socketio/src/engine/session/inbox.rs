//! What a client has sent and nobody has handled yet: bounded.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use tokio::sync::Notify;

use super::super::Message;

/// Packets of a WebSocket that may wait; a post's payload waits as a whole.
const PACKETS_MAX: usize = 32;

#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    Close,
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: RefCell<VecDeque<Incoming>>,
    bytes: Cell<usize>,
    bytes_max: usize,
    /// Who waits for room.
    waiting: Cell<usize>,
    drained: Notify,
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Incoming {
    fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Close => 0,
        }
    }
}

impl Inbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(super) fn push(&self, incoming: Incoming) {
        self.bytes.set(self.bytes.get() + incoming.len());
        self.queue.borrow_mut().push_back(incoming);
    }

    pub(super) fn pop(&self) -> Option<Incoming> {
        let popped = self.queue.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - popped.len());
        self.drained.notify_waiters();
        Some(popped)
    }

    pub(super) fn clear(&self) {
        self.queue.borrow_mut().clear();
        self.bytes.set(0);
        self.drained.notify_waiters();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Whether somebody has more packets, among them perhaps the heartbeat that is due.
    pub(super) fn is_blocked(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Waits until there is room for one more packet. Cancel safe.
    pub(super) async fn has_room(&self) {
        self.wait_for(|| self.queue.borrow().len() < PACKETS_MAX && self.bytes.get() < self.bytes_max).await;
    }

    /// Waits until nothing waits. Cancel safe.
    pub(super) async fn is_drained(&self) {
        self.wait_for(|| self.is_empty()).await;
    }

    async fn wait_for(&self, condition: impl Fn() -> bool) {
        if condition() {
            return;
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        loop {
            let drained = self.drained.notified();
            if condition() {
                return;
            }
            drained.await;
        }
    }
}
