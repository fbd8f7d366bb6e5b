//! From a cursor to the live events, each event once, in order, without a gap.
//!
//! The order of the steps is what makes it whole. First the subscription holds live events back; then the feed says
//! its position, the fence: everything after it is held or delivered from now on; then the directory says, as of the
//! fence, whether the user is a member: a removal up to the fence is part of that answer, a later one is among the
//! live events; then the events from the cursor to the fence are read; then what was held follows.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use huddle_domain::{Contiguity, Event, EventKind, Seq, Step, TeamId, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{self as wire, ErrorCode, server_frame::Content},
};

use super::Connection;
use crate::{
    memberships::not_found,
    relay::{self, Delivery, Page, Recent},
    worker::{HeldEvents, Subscription, Worker},
};

/// How often held events may overflow during one catch-up before it is given up: the reader is slower than the team.
const HELD_OVERFLOWS_MAX: u32 = 32;

/// A subscription on its way to being live. [`CatchUp::open`] comes first, [`CatchUp::run`] last; one that is dropped
/// before that leaves the subscription holding, for its connection to end.
pub(crate) struct CatchUp {
    worker: Rc<Worker>,
    subscription: Rc<Subscription>,
    /// What the client has seen; `None` = it only wants what happens from now on.
    cursor: Option<Seq>,
    /// Everything after this position is held or delivered; what lies up to it can be read. `None` before that.
    fence: Option<Seq>,
    /// What is in memory of the events up to the fence, and beyond.
    recent: Option<Arc<Recent>>,
}

impl CatchUp {
    /// Takes the subscription in: from now on it holds the team's live events back. `user` is who is to be a member;
    /// `None` = nobody is asked.
    pub(crate) fn start(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        team: TeamId,
        user: Option<UserId>,
    ) -> Result<Self, Refusal> {
        if !connection.is_open() {
            // Nobody would ever end it.
            return Err(relay::unavailable());
        }
        let count = {
            let subscriptions = connection.subscriptions.borrow();
            if subscriptions.contains_key(&team) {
                let message = "this connection subscribes to the team already";
                return Err(Refusal::new(ErrorCode::AlreadySubscribed, message));
            }
            subscriptions.len()
        };
        let count_max = worker.core.config.subscriptions_per_connection_max;
        if count >= count_max {
            let message = format!("a connection subscribes to at most {count_max} teams");
            return Err(Refusal::new(ErrorCode::TooManySubscriptions, message));
        }
        let subscription = worker.hub.hold(team.clone(), Rc::clone(connection), user);
        connection.subscriptions.borrow_mut().insert(team, Rc::clone(&subscription));
        Ok(Self { worker: Rc::clone(worker), subscription, cursor: None, fence: None, recent: None })
    }

    pub(crate) fn team(&self) -> &TeamId {
        &self.subscription.team
    }

    /// Everything after this position is held or delivered, once the subscription is open.
    pub(crate) fn fence(&self) -> Seq {
        self.fence.unwrap_or(Seq::ZERO)
    }

    /// The same, as soon as the subscription has been attached to the live events, whether it was opened or not.
    pub(crate) fn attached_at(&self) -> Option<Seq> {
        self.fence
    }

    /// Whether the subscription has ended meanwhile.
    pub(crate) fn is_ended(&self) -> bool {
        self.subscription.is_ended()
    }

    /// Attaches to the live events and checks that the user may have them. Returns the fence. After an error the
    /// subscription has ended.
    pub(crate) async fn open(&mut self) -> Result<Seq, Refusal> {
        let opened = self.attach().await;
        if opened.is_err() {
            self.worker.hub.end(&self.subscription);
        }
        opened
    }

    async fn attach(&mut self) -> Result<Seq, Refusal> {
        let (fence, recent) = self.worker.hub.attach(&self.subscription).await?;
        self.fence = Some(fence);
        self.recent = Some(recent);
        if let Some(user) = self.subscription.user() {
            // The feed has seen everything up to the fence.
            self.worker.core.memberships.check_seen(self.team(), user, fence).await?;
        }
        self.subscription.set_sent(fence);
        Ok(fence)
    }

    async fn check_member(&self, min_seq: Seq) -> Result<(), Refusal> {
        let Some(user) = self.subscription.user() else { return Ok(()) };
        self.worker.core.memberships.check_as_of(self.team(), user, min_seq).await.map(drop)
    }

    /// Takes the client's cursor, once the subscription is open. After an error the subscription has ended.
    pub(crate) async fn set_cursor(&mut self, cursor: Seq) -> Result<(), Refusal> {
        let outcome = async {
            if cursor > self.fence() {
                self.check_cursor(cursor).await?;
                // Events up to the cursor are not sent, so a removal among them must be part of the answer.
                self.check_member(cursor).await?;
            }
            Ok(())
        };
        let outcome = outcome.await;
        match outcome {
            Ok(()) => {
                self.cursor = Some(cursor);
                self.subscription.set_sent(cursor);
            }
            Err(_) => self.worker.hub.end(&self.subscription),
        }
        outcome
    }

    /// A cursor beyond the fence is good when the log, or history, is that far by now.
    async fn check_cursor(&self, cursor: Seq) -> Result<(), Refusal> {
        let core = &self.worker.core;
        let team = &self.subscription.team;
        let in_log = core.log.last_seq(team).await.map_err(|error| {
            tracing::warn!(%team, %error, "cannot tell whether a cursor is good");
            relay::unavailable()
        })?;
        if in_log.is_some_and(|last| cursor <= last) {
            return Ok(());
        }
        // No position is above that, and history refuses to be asked about one.
        let is_position = i64::try_from(cursor.get()).is_ok();
        // The log forgets old events; history does not.
        let before_cursor = Seq::new(cursor.get() - 1);
        if !is_position || core.history.list_events(team, before_cursor, Seq::ZERO).await?.0.is_empty() {
            let message = "the cursor lies beyond the team's last event; subscribe without one";
            return Err(Refusal::new(ErrorCode::InvalidCursor, message));
        }
        Ok(())
    }

    /// Sends everything after the cursor, then what was held, then lets the subscription go live. When that fails, the
    /// subscription ends and the client is told why.
    pub(crate) async fn run(self) {
        if let Err(refusal) = self.catch_up().await {
            self.worker.hub.end_because(&self.subscription, refusal);
        }
    }

    async fn catch_up(&self) -> Result<(), Refusal> {
        let mut place = Contiguity::after(self.cursor.unwrap_or(self.fence()));
        if self.cursor.is_some() {
            if self.fence().is_zero() {
                self.send_stored(&mut place).await?;
            }
            self.send_missed(&mut place, self.fence()).await?;
        }
        let mut overflows = 0;
        while !self.subscription.is_ended() {
            // Before the held events are taken: nothing is awaited between finding none and being live.
            self.subscription.connection.has_room().await;
            let HeldEvents { deliveries, overflowed } = self.subscription.take_held();
            for delivery in &deliveries {
                self.send_held(&mut place, delivery).await?;
            }
            if overflowed {
                overflows += 1;
                if overflows > HELD_OVERFLOWS_MAX {
                    return Err(Refusal::new(ErrorCode::Overloaded, "too slow: subscribe again from your cursor"));
                }
                let last = self.worker.core.log.last_seq(&self.subscription.team).await;
                let last = last.map_err(|_| relay::unavailable())?.unwrap_or(Seq::ZERO);
                self.send_missed(&mut place, last).await?;
            } else if deliveries.is_empty() {
                // Nothing was awaited since the held events were taken: none can have come in between.
                let caught_up = wire::CaughtUp { team: self.subscription.team.to_string(), seq: place.last().get() };
                self.subscription.connection.push(Content::CaughtUp(caught_up));
                self.subscription.set_sent(place.last());
                self.subscription.go_live();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends the stored events after `place`: the log has none of the team, and cannot say how far they go.
    async fn send_stored(&self, place: &mut Contiguity) -> Result<(), Refusal> {
        let Some(recent) = &self.recent else { return Err(relay::unavailable()) };
        let core = &self.worker.core;
        while !self.subscription.is_ended() {
            let page = core.relay.stored_page(&self.subscription.team, recent, place.last()).await?;
            if page.through <= place.last() {
                break;
            }
            self.send_page(place, &page).await;
        }
        Ok(())
    }

    /// Sends the events after `place`, at least up to `through`.
    async fn send_missed(&self, place: &mut Contiguity, through: Seq) -> Result<(), Refusal> {
        let Some(recent) = &self.recent else { return Err(relay::unavailable()) };
        let core = &self.worker.core;
        while place.last() < through && !self.subscription.is_ended() {
            let page = core.relay.page(&self.subscription.team, recent, place.last(), through).await?;
            self.send_page(place, &page).await;
        }
        Ok(())
    }

    async fn send_page(&self, place: &mut Contiguity, page: &Page) {
        let names = if self.subscription.connection.shows_people() {
            self.worker.core.names.of(page.deliveries.iter().map(|delivery| &delivery.event.sender)).await
        } else {
            HashMap::new()
        };
        for delivery in &page.deliveries {
            if let Some(name) = names.get(&delivery.event.sender) {
                delivery.name_sender(name.clone());
            }
            self.send(place, delivery).await;
        }
        place.advance(page.through);
    }

    async fn send_held(&self, place: &mut Contiguity, delivery: &Arc<Delivery>) -> Result<(), Refusal> {
        match place.judge(&delivery.event) {
            Step::Seen => {}
            Step::Next => self.send(place, delivery).await,
            Step::Gap { .. } => {
                self.send_missed(place, delivery.event.known_through()).await?;
                if delivery.event.seq > place.last() {
                    self.send(place, delivery).await;
                }
            }
        }
        Ok(())
    }

    /// Queues one event, waiting for room: a reader that is slow here slows down its own catch-up only. The user's own
    /// removal, when it lies after the fence, is the last event.
    async fn send(&self, place: &mut Contiguity, delivery: &Arc<Delivery>) {
        self.subscription.connection.has_room().await;
        if self.subscription.is_ended() {
            return;
        }
        place.advance(delivery.event.seq);
        // What was read was chained for others, whose cursors may lie elsewhere.
        let delivery = delivery.following(self.subscription.sent());
        self.subscription.set_sent(delivery.event.seq);
        self.subscription.connection.push_delivery(&delivery);
        if delivery.event.seq > self.fence()
            && self.subscription.user().is_some_and(|user| is_removal_of(&delivery.event, user))
        {
            self.worker.hub.end_because(&self.subscription, not_found());
        }
    }
}

fn is_removal_of(event: &Event, user: &UserId) -> bool {
    matches!(&event.kind, EventKind::MemberRemoved { user: removed } if removed == user)
}
