//! A connection's outbox: finished frames on their way to the socket, bounded in number and bytes.
//!
//! It belongs to one worker thread: one task pushes; the response body that actix polls drains it, or a task that takes
//! what is there. No locks.

use std::{
    cell::RefCell,
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::sync::Notify;

/// Frames that wait for a socket.
#[derive(Debug)]
pub struct Outbox {
    bytes_max: usize,
    frames_max: usize,
    queue: RefCell<Queue>,
    /// Woken when frames have left, and when no more are taken.
    drained: Notify,
    /// Woken when a frame has been queued, and when no more are taken.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    state: State,
    body: Option<Waker>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The last frame is queued; then the body ends.
    Closing,
    /// The body is gone: nobody drains any more.
    Gone,
}

/// The outbox is full: its reader is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    /// An empty outbox for at most `bytes_max` bytes in at most `frames_max` frames.
    pub fn new(bytes_max: usize, frames_max: usize) -> Self {
        Self { bytes_max, frames_max, queue: RefCell::default(), drained: Notify::new(), filled: Notify::new() }
    }

    /// Queues a frame. Once the outbox is closing it is dropped silently: the client is on its way out.
    pub fn push(&self, frame: Bytes) -> Result<(), Full> {
        let mut queue = self.queue.borrow_mut();
        if queue.state != State::Open {
            return Ok(());
        }
        if queue.frames.len() >= self.frames_max || queue.bytes + frame.len() > self.bytes_max {
            return Err(Full);
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        queue.wake();
        self.filled.notify_waiters();
        Ok(())
    }

    /// Queues a last frame, behind what waits already, and takes no more.
    pub fn close(&self, last: Bytes) {
        let mut queue = self.queue.borrow_mut();
        if queue.state == State::Open {
            queue.state = State::Closing;
            queue.bytes += last.len();
            queue.frames.push_back(last);
            queue.wake();
            self.filled.notify_waiters();
            self.drained.notify_waiters();
        }
    }

    /// Drops what waits, queues a last frame and takes no more: for readers that are too slow.
    pub fn abandon(&self, last: Bytes) {
        {
            let mut queue = self.queue.borrow_mut();
            if queue.state == State::Open {
                queue.frames.clear();
                queue.bytes = 0;
            }
        }
        self.close(last);
    }

    /// Takes frames out, oldest first: at most `frames_max`, as many as fit into `bytes_max`, and one at least if there is
    /// any. For an outbox that no body drains.
    pub fn take(&self, bytes_max: usize, frames_max: usize) -> Vec<Bytes> {
        let mut queue = self.queue.borrow_mut();
        let mut taken = Vec::new();
        let mut room = bytes_max;
        while let Some(frame) = queue.frames.front() {
            if (frame.len() > room || taken.len() >= frames_max) && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(frame.len());
            queue.bytes -= frame.len();
            taken.extend(queue.frames.pop_front());
        }
        drop(queue);
        if !taken.is_empty() {
            self.drained.notify_waiters();
        }
        taken
    }

    /// Waits until a frame is queued, or until no more are taken. Cancel safe.
    pub async fn filled(&self) {
        loop {
            let filled = self.filled.notified();
            {
                let queue = self.queue.borrow();
                if !queue.frames.is_empty() || queue.state != State::Open {
                    return;
                }
            }
            filled.await;
        }
    }

    /// Whether frames are still taken.
    pub fn is_open(&self) -> bool {
        self.queue.borrow().state == State::Open
    }

    /// Waits until at most half of the outbox is in use, or until it no longer takes frames. Cancel safe.
    pub async fn has_room(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let queue = self.queue.borrow();
                let is_half_empty = queue.bytes <= self.bytes_max / 2 && queue.frames.len() <= self.frames_max / 2;
                if is_half_empty || queue.state != State::Open {
                    return;
                }
            }
            drained.await;
        }
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(body) = self.body.take() {
            body.wake();
        }
    }
}

/// The body of a WebSocket's response: drains the outbox into the socket. When it is dropped, the outbox is closed and
/// emptied.
pub struct OutboxBody {
    outbox: Rc<Outbox>,
    /// The handshake's own body: never polled, but its end tells the frame reader that the socket is gone.
    _handshake: BoxBody,
}

impl std::fmt::Debug for OutboxBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxBody").finish_non_exhaustive()
    }
}

impl OutboxBody {
    /// The body of the response that `handshake` was the body of.
    pub fn new(outbox: Rc<Outbox>, handshake: BoxBody) -> Self {
        Self { outbox, _handshake: handshake }
    }
}

impl MessageBody for OutboxBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    /// One frame at a time: actix gathers what is ready into one write.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let mut queue = self.outbox.queue.borrow_mut();
        match queue.frames.pop_front() {
            Some(frame) => {
                queue.bytes -= frame.len();
                drop(queue);
                self.outbox.drained.notify_waiters();
                Poll::Ready(Some(Ok(frame)))
            }
            None if queue.state == State::Open => {
                queue.body = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

impl Drop for OutboxBody {
    fn drop(&mut self) {
        let mut queue = self.outbox.queue.borrow_mut();
        queue.state = State::Gone;
        queue.frames.clear();
        queue.bytes = 0;
        drop(queue);
        self.outbox.drained.notify_waiters();
        self.outbox.filled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_slow_reader_is_told_once_and_never_buffered_without_bound() {
        let outbox = Outbox::new(100, 10);
        let frame = Bytes::from_static(&[0; 30]);
        for _ in 0..3 {
            outbox.push(frame.clone()).unwrap();
        }
        assert_eq!(outbox.push(frame.clone()), Err(Full));
        outbox.abandon(Bytes::from_static(b"close"));
        assert_eq!(outbox.queue.borrow().frames.len(), 1);
        assert_eq!(outbox.push(frame), Ok(()));
        assert_eq!(outbox.queue.borrow().frames.len(), 1, "nothing follows the last frame");
    }

    #[test]
    fn a_taker_gets_frames_in_order_and_never_none_while_there_is_one() {
        let outbox = Outbox::new(1_000, 10);
        for length in [30, 30, 500, 10, 20, 30] {
            outbox.push(Bytes::from(vec![0; length])).unwrap();
        }
        let lengths = |frames_max| outbox.take(100, frames_max).iter().map(Bytes::len).collect::<Vec<_>>();
        assert_eq!(lengths(10), [30, 30]);
        assert_eq!(lengths(10), [500], "larger than asked for, and alone");
        assert_eq!(lengths(2), [10, 20]);
        assert_eq!(lengths(2), [30]);
        assert!(lengths(2).is_empty());
    }

    #[test]
    fn who_waits_for_room_goes_on_when_nothing_more_is_taken() {
        for end in [Outbox::abandon, Outbox::close] {
            let outbox = Outbox::new(100, 2);
            outbox.push(Bytes::from_static(b"a")).unwrap();
            outbox.push(Bytes::from_static(b"b")).unwrap();
            let mut waiting = std::pin::pin!(outbox.has_room());
            assert!(waiting.as_mut().now_or_never().is_none());
            end(&outbox, Bytes::from_static(b"last"));
            let mut woken = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut woken).is_ready());
        }
    }

    #[test]
    fn the_number_of_frames_is_bounded_too() {
        let outbox = Outbox::new(1_000, 2);
        outbox.push(Bytes::from_static(b"a")).unwrap();
        outbox.push(Bytes::from_static(b"b")).unwrap();
        assert_eq!(outbox.push(Bytes::from_static(b"c")), Err(Full));
    }
}
