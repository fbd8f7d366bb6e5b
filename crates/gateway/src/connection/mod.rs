//! One WebSocket: who it is, what it subscribes to, and the way its frames take out.

mod hello;
mod sends;
mod serve;
mod subscribe;

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use huddle_domain::{TeamId, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, server_frame::Content},
};
use huddle_websocket::{Full, Outbox};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    core::Core,
    protocol::{Delivery, Encoding, close_frame, server_frame},
    worker::{Awaited, Subscription},
};
pub(crate) use hello::token_refusal;
pub(crate) use sends::{parse_body, parse_tags};
pub(crate) use serve::{parse_client_id, parse_team, serve};

/// Sends of one connection that may be under way; beyond it the connection is not read, which its client notices as
/// backpressure.
const SENDS_IN_FLIGHT_MAX: u32 = 256;
/// How long a connection that is sent away waits for the outcome of its sends.
const FINISH_SENDS_PATIENCE: Duration = Duration::from_secs(4);

/// A WebSocket's state. It belongs to one worker thread.
pub(crate) struct Connection {
    core: Arc<Core>,
    encoding: Encoding,
    outbox: Rc<Outbox>,
    identity: RefCell<Option<Identity>>,
    subscriptions: RefCell<HashMap<TeamId, Rc<Subscription>>>,
    sends_in_flight: Arc<Semaphore>,
    /// Second receipts that are due, by team. Kept by the worker.
    pub(crate) receipts: RefCell<HashMap<TeamId, Awaited>>,
    /// Woken when the connection has been closed from this side.
    closing: Notify,
}

/// Who a connection is, since its `hello`.
#[derive(Debug, Clone)]
struct Identity {
    user: UserId,
    expires: Instant,
    expires_time_ms: i64,
    /// Whether the client has been warned of the expiry.
    warned: bool,
}

impl Connection {
    pub(crate) fn new(core: Arc<Core>, encoding: Encoding) -> Self {
        let outbox = Outbox::new(core.config.outbox_max.as_usize(), core.config.outbox_frames_max);
        Self {
            core,
            encoding,
            outbox: Rc::new(outbox),
            identity: RefCell::default(),
            subscriptions: RefCell::default(),
            sends_in_flight: Arc::new(Semaphore::new(SENDS_IN_FLIGHT_MAX as usize)),
            receipts: RefCell::default(),
            closing: Notify::new(),
        }
    }

    /// The outbox, for the response body that drains it.
    pub(crate) fn outbox(&self) -> Rc<Outbox> {
        Rc::clone(&self.outbox)
    }

    /// Queues a frame that is no reply.
    pub(crate) fn push(&self, content: Content) {
        self.reply(String::new(), content);
    }

    /// Queues the frame of an event, which all receivers share.
    pub(crate) fn push_delivery(&self, delivery: &Delivery) {
        self.core.metrics.deliveries.inc();
        self.queue(delivery.frame(self.encoding));
    }

    /// Closes the connection behind what is queued already.
    pub(crate) fn close(&self, code: CloseCode, reason: &'static str) {
        if self.outbox.is_open() {
            self.core.metrics.closed(code);
            self.outbox.close(close_frame(code, reason));
            self.closing.notify_one();
        }
    }

    /// Waits until no send of this connection is under way; bounded.
    pub(crate) async fn finish_sends(&self) {
        // The semaphore is never closed; when the time is over, clients retry under the same client_id.
        let _ = timeout(FINISH_SENDS_PATIENCE, self.sends_in_flight.acquire_many(SENDS_IN_FLIGHT_MAX)).await;
    }

    /// Called by the hub when a subscription has ended.
    pub(crate) fn forget_subscription(&self, team: &TeamId) {
        self.subscriptions.borrow_mut().remove(team);
    }

    fn reply(&self, reply_to: String, content: Content) {
        self.queue(server_frame(self.encoding, reply_to, content));
    }

    fn refuse(&self, reply_to: String, refusal: Refusal) {
        self.core.metrics.refused(refusal.code);
        tracing::debug!(code = refusal.code.as_str_name(), user = ?self.user(), "request refused");
        self.reply(reply_to, Content::Error(refusal.into()));
    }

    fn queue(&self, frame: bytes::Bytes) {
        if self.outbox.push(frame) == Err(Full) {
            // What is dropped here is not lost: the client resumes from its cursor.
            self.core.metrics.closed(CloseCode::SlowConsumer);
            let reason = "too slow: reconnect and resume from your cursors";
            self.outbox.abandon(close_frame(CloseCode::SlowConsumer, reason));
            self.closing.notify_one();
        }
    }

    fn user(&self) -> Option<UserId> {
        self.identity.borrow().as_ref().map(|identity| identity.user.clone())
    }
}
