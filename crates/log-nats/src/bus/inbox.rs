//! Replies to requests of this handle: one subscription for all of them. (The client has the same for its own requests, but
//! keeps those whose time is over for good.)

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    retry::{Cause, REQUEST_TIMEOUT},
    subject,
};

/// The inbox of a handle.
pub(super) struct Inbox {
    prefix: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
}

/// By number of the request. Each entry belongs to a caller who waits, and goes with it.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, oneshot::Sender<Message>>>);

impl Waiting {
    // Held for a look into the map, never over an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that is to come.
pub(super) struct Expected<'a> {
    inbox: &'a Inbox,
    number: u64,
    receiver: oneshot::Receiver<Message>,
}

impl Inbox {
    /// Subscribes; passes messages on until `closed`.
    pub(super) async fn open(client: &Client, closed: CancellationToken) -> Result<Self, Cause> {
        let prefix = client.new_inbox();
        let messages = timeout(REQUEST_TIMEOUT, client.subscribe(format!("{prefix}.*")))
            .await
            .map_err(|error| Cause::of(&error))?
            .map_err(|error| Cause::of(&error))?;
        let waiting = Arc::new(Waiting::default());
        tokio::spawn(pass(messages, Arc::clone(&waiting), closed));
        Ok(Self { prefix, next: AtomicU64::new(0), waiting })
    }

    /// Makes room for one message.
    pub(super) fn expect(&self) -> Expected<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(number, sender);
        Expected { inbox: self, number, receiver }
    }
}

impl Expected<'_> {
    /// Where the message is to be sent.
    pub(super) fn subject(&self) -> String {
        format!("{}.{}", self.inbox.prefix, self.number)
    }

    /// Waits for it, for as long as it takes.
    pub(super) async fn message(mut self) -> Result<Message, Cause> {
        (&mut self.receiver).await.map_err(|error| Cause::of(&error))
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.inbox.waiting.lock().remove(&self.number);
    }
}

async fn pass(mut messages: Subscriber, waiting: Arc<Waiting>, closed: CancellationToken) {
    loop {
        let message = tokio::select! {
            () = closed.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        let number = subject::last_token(&message.subject).parse().ok();
        if let Some(sender) = number.and_then(|number: u64| waiting.lock().remove(&number)) {
            // The caller may have gone this very moment.
            drop(sender.send(message));
        }
    }
}
