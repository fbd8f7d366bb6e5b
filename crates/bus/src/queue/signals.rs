//! Signals that wait for their listener: the oldest make room for the newest.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::SignalFeed;

/// Signals that wait for one listener, at most.
pub const SIGNALS_MAX: usize = 256;
/// Bytes of them, at most; the newest signal waits whatever its size.
pub const SIGNALS_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// The receiver's task, when it has found nothing.
    waker: Option<Waker>,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

impl Shared {
    // Held for a few moves of pointers, never over an await or a wake.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue of one listener, empty.
pub fn signals() -> (SignalSender, SignalReceiver) {
    let shared = Arc::new(Shared::default());
    (SignalSender(Arc::clone(&shared)), SignalReceiver(shared))
}

/// The end that signals are put in at. When it is dropped, the receiver ends behind what waits.
#[derive(Debug)]
pub struct SignalSender(Arc<Shared>);

impl SignalSender {
    /// Puts `payload` in; returns how many older ones were dropped to make room.
    pub fn push(&self, payload: Bytes) -> u64 {
        let mut lost = 0;
        let waker = {
            let mut state = self.0.lock();
            state.bytes += payload.len();
            state.waiting.push_back(payload);
            while state.waiting.len() > SIGNALS_MAX || (state.bytes > SIGNALS_BYTES_MAX && state.waiting.len() > 1) {
                state.take();
                lost += 1;
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        lost
    }
}

impl State {
    fn take(&mut self) -> Option<Bytes> {
        let payload = self.waiting.pop_front()?;
        self.bytes -= payload.len();
        Some(payload)
    }
}

impl Drop for SignalSender {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.0.lock();
            state.has_ended = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The listener's end.
#[derive(Debug)]
pub struct SignalReceiver(Arc<Shared>);

impl SignalReceiver {
    /// The feed; keeps `held` until it is dropped.
    pub fn into_feed<G: Send + 'static>(self, held: G) -> SignalFeed {
        self.inspect(move |_| {
            let _keeps = &held;
        })
        .boxed()
    }
}

impl Stream for SignalReceiver {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.lock();
        if let Some(payload) = state.take() {
            return Poll::Ready(Some(payload));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn drain(receiver: &mut SignalReceiver) -> Vec<Bytes> {
        std::iter::from_fn(|| receiver.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn the_newest_signals_wait_and_the_oldest_are_counted_as_lost() {
        let (sender, mut receiver) = signals();
        let lost: u64 = (0..SIGNALS_MAX + 3).map(|number| sender.push(number.to_string().into())).sum();
        assert_eq!(lost, 3);
        let waiting = drain(&mut receiver);
        assert_eq!(waiting.len(), SIGNALS_MAX);
        assert_eq!(waiting[0], "3");
        assert_eq!(sender.push("again".into()), 0);
        assert_eq!(drain(&mut receiver), ["again"]);
    }

    #[test]
    fn large_signals_are_bounded_by_their_bytes() {
        let (sender, mut receiver) = signals();
        let half = Bytes::from(vec![0; SIGNALS_BYTES_MAX / 2]);
        assert_eq!((sender.push(half.clone()), sender.push(half.clone()), sender.push(half)), (0, 0, 1));
        assert_eq!(sender.push(Bytes::from(vec![0; SIGNALS_BYTES_MAX + 1])), 2);
        assert_eq!(drain(&mut receiver).len(), 1);
    }

    #[tokio::test]
    async fn what_waits_is_read_before_the_end() {
        let (sender, mut receiver) = signals();
        sender.push("last".into());
        drop(sender);
        assert_eq!(receiver.next().await.unwrap(), "last");
        assert!(receiver.next().await.is_none());
    }
}
