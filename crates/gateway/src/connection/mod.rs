//! One connection of a client, whatever its protocol: who it is, what it subscribes to, what it sends, and the way out.

mod catch_up;
mod identity;
mod parse;
mod sends;
mod way;

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, TokenExpiring, server_frame::Content},
};
use huddle_socketio::AckId;
use huddle_websocket::Full;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    core::Core,
    labellab::Typing,
    relay::Delivery,
    sends::Accepted,
    worker::{Awaited, Subscription, Worker},
};
pub(crate) use catch_up::CatchUp;
use identity::Due;
pub(crate) use identity::{Identity, token_refusal};
pub(crate) use parse::{parse_body, parse_client_id, parse_tags, parse_team};
pub(crate) use sends::SendQueue;
pub(crate) use way::{ReplyTo, Way};

/// Sends of one connection that may be under way; beyond it the connection is not read, which its client notices as
/// backpressure.
const SENDS_IN_FLIGHT_MAX: u32 = 256;
/// How long a connection that is sent away waits for the outcome of its sends.
const FINISH_SENDS_PATIENCE: Duration = Duration::from_secs(4);

/// A connection's state. It belongs to one worker thread.
pub(crate) struct Connection {
    core: Arc<Core>,
    way: Way,
    identity: RefCell<Option<Identity>>,
    pub(crate) subscriptions: RefCell<HashMap<TeamId, Rc<Subscription>>>,
    sends_in_flight: Arc<Semaphore>,
    /// Second receipts that are due, by team. Kept by the worker.
    pub(crate) receipts: RefCell<HashMap<TeamId, Awaited>>,
    /// Woken when the connection has been closed from this side.
    closing: Notify,
}

impl Connection {
    pub(crate) fn new(core: Arc<Core>, way: Way) -> Self {
        Self {
            core,
            way,
            identity: RefCell::default(),
            subscriptions: RefCell::default(),
            sends_in_flight: Arc::new(Semaphore::new(SENDS_IN_FLIGHT_MAX as usize)),
            receipts: RefCell::default(),
            closing: Notify::new(),
        }
    }

    /// Who the connection is; `None` before it has shown a token.
    pub(crate) fn user(&self) -> Option<UserId> {
        self.identity.borrow().as_ref().map(|identity| identity.user.clone())
    }

    /// From now on the connection is who a verified token says.
    pub(crate) fn identify(&self, identity: Identity) {
        *self.identity.borrow_mut() = Some(identity);
    }

    /// When to [keep the identity](Self::keep_identity) next; `None` before there is one.
    pub(crate) fn identity_deadline(&self) -> Option<Instant> {
        self.identity.borrow().as_ref().map(Identity::next_deadline)
    }

    /// Warns the client of its token's expiry, or closes the connection when the token is not valid any longer.
    pub(crate) fn keep_identity(&self) {
        let (due, time_ms) = match &mut *self.identity.borrow_mut() {
            None => return,
            Some(identity) => (identity.due(&self.core.verifier), identity.expires_time_ms),
        };
        match due {
            Due::Nothing => {}
            Due::Warning => self.push(Content::TokenExpiring(TokenExpiring { time_ms })),
            Due::Expired => self.close(CloseCode::Unauthenticated, "the token has expired"),
            Due::Revoked => self.close(CloseCode::Unauthenticated, "the token has been revoked"),
        }
    }

    /// Tells the client something that it did not ask for.
    pub(crate) fn push(&self, content: Content) {
        self.watch(self.way.push(content));
    }

    /// Answers a request.
    pub(crate) fn reply(&self, reply_to: ReplyTo, content: Content) {
        self.watch(self.way.reply(reply_to, content));
    }

    /// Refuses a request.
    pub(crate) fn refuse(&self, reply_to: ReplyTo, refusal: Refusal) {
        self.core.metrics.refused(refusal.code);
        tracing::debug!(code = refusal.code.as_str_name(), user = ?self.user(), "request refused");
        self.reply(reply_to, Content::Error(refusal.into()));
    }

    /// Answers a send that the log has accepted, and sees to the second receipt.
    fn accepted(self: &Rc<Self>, worker: &Worker, reply_to: ReplyTo, accepted: &Accepted) {
        let stored = worker.core.watermarks.stored(worker.core.log.partitions().of(&accepted.team)) >= accepted.seq;
        let (outcome, wants_receipt) = self.way.accepted(reply_to, accepted, stored);
        self.watch(outcome);
        if wants_receipt {
            worker.promise(self, &accepted.team, accepted.seq);
        }
    }

    /// Hands over an event, in the form that all receivers share.
    pub(crate) fn push_delivery(&self, delivery: &Delivery) {
        self.core.metrics.deliveries.inc();
        self.watch(self.way.deliver(delivery));
    }

    /// Tells that somebody is typing. Where there is no room, nobody is told: it is worth no connection.
    pub(crate) fn push_typing(&self, team: &TeamId, typing: &Typing) {
        let _ = self.way.typing(team, typing);
    }

    /// Tells that a subscription has ended without the client's asking; `sent` is how far the client got.
    pub(crate) fn subscription_ended(&self, team: &TeamId, sent: Option<Seq>, refusal: Refusal) {
        self.watch(self.way.subscription_ended(team, sent, refusal));
    }

    /// Answers a Socket.IO event by its acknowledgement, if it asked for one.
    pub(crate) fn acknowledge(&self, ack: Option<AckId>, answer: &serde_json::Value) {
        self.watch(self.way.acknowledge(ack, answer));
    }

    /// Whether the client is still there, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.way.is_open()
    }

    /// Waits until there is room for more, or until the connection is closed. Cancel safe.
    pub(crate) async fn has_room(&self) {
        self.way.has_room().await;
    }

    /// Whether the client is shown the people behind events.
    pub(crate) fn shows_people(&self) -> bool {
        self.way.shows_people()
    }

    /// Closes the connection behind what is queued already.
    pub(crate) fn close(&self, code: CloseCode, reason: &'static str) {
        if self.way.is_open() {
            self.core.metrics.closed(code);
            self.way.close(code, reason);
            self.closing.notify_one();
        }
    }

    /// Resolves once the connection has been closed from this side.
    pub(crate) async fn closed(&self) {
        self.closing.notified().await;
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

    /// Ends all subscriptions: the client is gone.
    pub(crate) fn end_subscriptions(&self, worker: &Worker) {
        let subscriptions: Vec<_> = self.subscriptions.borrow().values().cloned().collect();
        for subscription in subscriptions {
            worker.hub.end(&subscription);
        }
    }

    /// Closes the connection of a client that reads too slowly. What is dropped here is not lost: it resumes from its
    /// cursors.
    pub(crate) fn abandon(&self) {
        if self.way.is_open() {
            self.core.metrics.closed(CloseCode::SlowConsumer);
            self.way.abandon();
            self.closing.notify_one();
        }
    }

    fn watch(&self, outcome: Result<(), Full>) {
        if outcome == Err(Full) {
            self.abandon();
        }
    }
}
