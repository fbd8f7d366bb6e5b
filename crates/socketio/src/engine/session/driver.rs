//! The task of one session: hands messages to the application one after the other, and watches the deadlines.

use std::{
    future::poll_fn,
    rc::{Rc, Weak},
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use tokio::time::{Instant, sleep_until, timeout};

use super::{End, Heartbeat, Inner, State, inbox::Incoming};
use crate::engine::{Handler, Violation};

/// How long the application may take for what a client had sent before it went.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// Finishes a session when its task is over, also when that panics: otherwise it would stay for ever.
struct Driven<'a> {
    session: &'a Inner,
    handler: Weak<dyn Handler>,
}

type Handling<'a> = Option<LocalBoxFuture<'a, Result<(), Violation>>>;

impl Inner {
    /// Runs the session to its end, and until the application has finished what it was handling.
    pub(crate) async fn drive(self: Rc<Self>, handler: Rc<dyn Handler>) {
        // Dropped before the handler.
        let _driven = Driven { session: &self, handler: Rc::downgrade(&handler) };
        self.run(&*handler).await;
        drop(handler);
        self.linger().await;
    }

    async fn run(&self, handler: &dyn Handler) {
        self.is_handling.set(true);
        let mut handling: Handling<'_> = Some(handler.opened());
        while self.state.get() == State::Open {
            let deadline = self.next_deadline(handler.deadline());
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                outcome = done(&mut handling) => self.handled(outcome),
                () = sleep_until(deadline) => self.deadlines_passed(handler.deadline()),
            }
            if self.is_sent_away.take() {
                handler.send_away();
            }
            if handling.is_none() {
                match self.inbox.pop() {
                    Some(Incoming::Message(message)) => {
                        self.is_handling.set(true);
                        handling = Some(handler.message(message));
                    }
                    Some(Incoming::Close) => self.end(End::ClientClosed),
                    None => {}
                }
            }
        }
        if self.state.get() == State::Draining {
            self.drain(handler, &mut handling).await;
        }
        handler.closed();
        if let Some(handling) = handling {
            // The session is over already.
            let _ = handling.await;
        }
    }

    /// Hands on what the client had sent before it went.
    async fn drain<'a>(&self, handler: &'a dyn Handler, handling: &mut Handling<'a>) {
        let draining = async {
            while self.state.get() == State::Draining {
                if handling.is_none() {
                    match self.inbox.pop() {
                        Some(Incoming::Message(message)) => *handling = Some(handler.message(message)),
                        Some(Incoming::Close) | None => break,
                    }
                }
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    outcome = done(handling) => self.handled(outcome),
                }
            }
        };
        // In time or not, nothing more is handed on.
        let _ = timeout(DRAIN_PATIENCE, draining).await;
        self.finish();
    }

    /// Waits until what is queued has been handed out, if that is still to be done.
    async fn linger(&self) {
        if self.state.get() == State::Lingering {
            let handed_out = async {
                while self.state.get() == State::Lingering {
                    self.wake.notified().await;
                }
            };
            if timeout(self.linger.get(), handed_out).await.is_err() {
                self.finish();
            }
        }
    }

    fn handled(&self, outcome: Result<(), Violation>) {
        self.is_handling.set(false);
        if let Err(violation) = outcome {
            self.end(End::Violation(violation));
        }
    }

    fn next_deadline(&self, of_handler: Option<Instant>) -> Instant {
        let (Heartbeat::PingDue(heartbeat) | Heartbeat::Deadline(heartbeat)) = self.heartbeat.get();
        let of_link = self.link.borrow().as_ref().and_then(|link| link.deadline());
        [of_handler, of_link, self.polling.lapses()].into_iter().flatten().fold(heartbeat, Instant::min)
    }

    fn deadlines_passed(&self, of_handler: Option<Instant>) {
        let now = Instant::now();
        let has_passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        match self.heartbeat.get() {
            Heartbeat::PingDue(due) if due <= now => {
                // Counted from when it was due: a late timer gives no client more time.
                self.heartbeat.set(Heartbeat::Deadline(due + self.config.ping_timeout));
                self.push(b"2");
            }
            Heartbeat::Deadline(deadline) if deadline <= now => self.expired(deadline),
            _ => {}
        }
        if has_passed(of_handler) {
            self.end(End::Expired);
        }
        if has_passed(self.polling.lapses()) {
            self.end(End::TransportGone);
        }
        let link = self.link.borrow().clone();
        if let Some(link) = link
            && has_passed(link.deadline())
        {
            self.link_closed(&link);
        }
    }
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("an application has panicked; its session ends");
            self.session.end(End::Failed);
            if let Some(handler) = self.handler.upgrade() {
                // By another task: were it to panic here, the process would end.
                actix_web::rt::spawn(async move { handler.closed() });
            }
        }
        self.session.finish();
    }
}

/// The outcome of what is being handled; never, when nothing is.
async fn done(handling: &mut Handling<'_>) -> Result<(), Violation> {
    let outcome = poll_fn(|cx| match handling {
        Some(future) => future.poll_unpin(cx),
        None => Poll::Pending,
    })
    .await;
    *handling = None;
    outcome
}
