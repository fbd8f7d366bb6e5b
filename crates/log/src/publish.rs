//! A publish and its outcome.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use huddle_domain::Seq;
use tokio::sync::oneshot;

use crate::PublishError;

/// What must be true for an event to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// The log holds no event of the team: compare-and-set, decided by the log. A repeat of the very same event is a
    /// duplicate, not a failure of the condition.
    FirstOfTeam,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its position.
    pub seq: Seq,
    /// Whether it had been appended by an earlier publish under the same key.
    pub duplicate: bool,
}

/// A publish that has its place in the queue; resolves to its outcome. Dropping it does not undo the publish.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Published, PublishError>>);

/// The other end of a [`Pending`], for implementations.
#[derive(Debug)]
pub struct Resolver(oneshot::Sender<Result<Published, PublishError>>);

/// A pair of which one end waits for what the other decides.
pub fn pending() -> (Resolver, Pending) {
    let (tx, rx) = oneshot::channel();
    (Resolver(tx), Pending(rx))
}

impl Resolver {
    /// Decides the outcome. Nobody may be waiting for it any longer; that is fine.
    pub fn resolve(self, outcome: Result<Published, PublishError>) {
        // The receiver may be gone: a publish is not undone by a caller that stopped waiting.
        let _ = self.0.send(outcome);
    }
}

impl Future for Pending {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|received| match received {
            Ok(outcome) => outcome,
            Err(dropped) => Err(PublishError::Unavailable { source: Box::new(dropped) }),
        })
    }
}
