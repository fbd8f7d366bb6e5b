//! A WebSocket that landed away from its session's home: its messages go there, what comes back goes to the client.

use std::{rc::Rc, time::Duration};

use actix_ws::{AggregatedMessage, AggregatedMessageStream};
use futures_util::{FutureExt as _, StreamExt as _};
use huddle_websocket::{Full, Outbox, frame};
use rand::RngExt as _;
use tokio::time::{sleep, sleep_until, timeout};

use super::{
    message::{Frames, Message, Messages, Take, answer::Kind, call},
    remote::{Lost, Remote},
};
use crate::{
    draining::{Drain, Draining},
    engine::{self, close_code},
};

/// Messages, and bytes of them, that go to the home in one call, unless one message alone is larger.
const BATCH_MESSAGES_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Before the home is asked again when it could take nothing.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the home hears nothing while the client has no room. Much shorter than it waits for a sign of life.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);
/// How long the last frames may take to come once the home takes no more messages.
const LAST_FRAMES_PATIENCE: Duration = Duration::from_secs(3);

/// How long a client that is sent away last may take to be gone, before it is cut off.
const LEAVING_PATIENCE: Duration = Duration::from_secs(1);

/// Why messages are no longer passed on.
#[derive(Debug, PartialEq, Eq)]
enum Stopped {
    /// The client is gone.
    ByClient,
    /// The home takes no more.
    ByHome,
}

/// Passes messages and frames on until one side is gone, then closes the other; no longer than this process has.
pub(crate) async fn relay(
    remote: Remote,
    link: u64,
    mut messages: AggregatedMessageStream,
    outbox: Rc<Outbox>,
    draining: Rc<Draining>,
) {
    {
        let to_client = to_client(&remote, link, &outbox);
        tokio::pin!(to_client);
        tokio::select! {
            stopped = to_home(&remote, link, &mut messages, &outbox) => if stopped == Stopped::ByHome {
                // When it is over, the client is sent away all the same.
                let _ = timeout(LAST_FRAMES_PATIENCE, &mut to_client).await;
            },
            () = &mut to_client => {}
            () = leave(&remote, link, &draining), if remote.is_elsewhere() => {}
        }
    }
    remote.tell(call::Kind::Detach(link));
    outbox.abandon(frame::close(close_code::GOING_AWAY, ""));
}

/// Once this process is about to end: has the home send the client away, and waits until it is cut off.
async fn leave(remote: &Remote, link: u64, draining: &Draining) {
    let Drain { since, over } = draining.begun().await;
    sleep_until(since + over.mul_f64(rand::rng().random_range(0.0..=1.0))).await;
    // A home that does not answer cannot send it away.
    let _ = remote.ask(call::Kind::SendAway(link)).await;
    sleep_until(since + over + LEAVING_PATIENCE).await;
}

async fn to_home(remote: &Remote, link: u64, messages: &mut AggregatedMessageStream, outbox: &Outbox) -> Stopped {
    let mut sent = 0_u64;
    let mut carried = None;
    loop {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut has_ended = false;
        let first = match carried.take() {
            Some(first) => Some(first),
            None => next(messages, outbox).await,
        };
        let mut candidate = first;
        loop {
            let Some(message) = candidate else {
                has_ended = true;
                break;
            };
            bytes += message.len();
            if !batch.is_empty() && (bytes > BATCH_BYTES_MAX || batch.len() == BATCH_MESSAGES_MAX) {
                carried = Some(message);
                break;
            }
            batch.push(Message::from(message));
            match next(messages, outbox).now_or_never() {
                Some(more) => candidate = more,
                None => break,
            }
        }
        while !batch.is_empty() {
            let call = call::Kind::Messages(Messages { link, first: sent, batch: batch.clone() });
            match remote.ask(call).await {
                Ok(Kind::Next(next)) => {
                    let taken = usize::try_from(next.saturating_sub(sent)).unwrap_or(usize::MAX).min(batch.len());
                    batch.drain(..taken);
                    sent += taken as u64;
                    if taken == 0 {
                        sleep(PAUSE).await;
                    }
                }
                Ok(Kind::Again(_)) => {}
                Ok(_) | Err(Lost) => return Stopped::ByHome,
            }
        }
        if has_ended {
            return Stopped::ByClient;
        }
    }
}

/// The next message; `None` when there are no more. Cancel safe.
async fn next(messages: &mut AggregatedMessageStream, outbox: &Outbox) -> Option<engine::Message> {
    loop {
        match messages.next().await? {
            Ok(AggregatedMessage::Text(text)) => return Some(engine::Message::Text(text.into_bytes())),
            Ok(AggregatedMessage::Binary(bytes)) => return Some(engine::Message::Binary(bytes)),
            Ok(AggregatedMessage::Ping(payload)) => {
                if outbox.push(frame::pong(&payload)) == Err(Full) {
                    return None;
                }
            }
            Ok(AggregatedMessage::Pong(_)) => {}
            Ok(AggregatedMessage::Close(_)) => {
                outbox.close(frame::close_reply());
                return None;
            }
            Err(_) => {
                outbox.abandon(frame::close(close_code::TOO_BIG, "too long or malformed"));
                return None;
            }
        }
    }
}

async fn to_client(remote: &Remote, link: u64, outbox: &Outbox) {
    let mut received = 0_u64;
    loop {
        let has_room = timeout(ROOM_PATIENCE, outbox.has_room()).await.is_ok();
        match remote.ask(call::Kind::Take(Take { link, received, has_room })).await {
            Ok(Kind::Frames(Frames { frames, are_last })) => {
                received += frames.len() as u64;
                if are_last {
                    return finish(frames, has_room, outbox);
                }
                for finished in frames {
                    if outbox.push(finished) == Err(Full) {
                        return;
                    }
                }
            }
            Ok(Kind::Again(_)) => {}
            Ok(_) | Err(Lost) => return,
        }
    }
}

/// The last frames, of which the very last one closes the WebSocket. A client that has no room is too slow for them.
fn finish(mut frames: Vec<bytes::Bytes>, has_room: bool, outbox: &Outbox) {
    let last = frames.pop().unwrap_or_else(|| frame::close(close_code::GOING_AWAY, ""));
    let is_queued = has_room && frames.into_iter().all(|finished| outbox.push(finished).is_ok());
    if is_queued { outbox.close(last) } else { outbox.abandon(last) }
}
