//! `subscribe` and `unsubscribe`: from a cursor to the live events, each event once, in order, without a gap.
//!
//! The order of the steps is what makes it whole. First the subscription holds live events back; then the feed says
//! its position, the fence: everything after it is held or delivered from now on; then the directory says, as of the
//! fence, whether the user is a member: a removal up to the fence is part of that answer, a later one is among the
//! live events; then history is read from the cursor to the fence; then what was held follows.

use std::rc::Rc;

use huddle_domain::{Contiguity, Event, EventKind, Seq, Step, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{self as wire, ErrorCode, server_frame::Content},
};

use super::{Connection, serve::parse_team};
use crate::{
    memberships::not_found,
    protocol::Delivery,
    relay,
    worker::{HeldEvents, Subscription, Worker},
};

/// How often held events may overflow during one catch-up before it is given up: the reader is slower than the team.
const HELD_OVERFLOWS_MAX: u32 = 32;

/// Starts a subscription; the reply and the events follow from a task of its own.
pub(super) fn subscribe(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    user: UserId,
    id: String,
    request: &wire::Subscribe,
) {
    let team = match parse_team(&request.team) {
        Ok(team) => team,
        Err(refusal) => return connection.refuse(id, refusal),
    };
    let count = {
        let subscriptions = connection.subscriptions.borrow();
        if subscriptions.contains_key(&team) {
            let message = "this connection subscribes to the team already";
            return connection.refuse(id, Refusal::new(ErrorCode::AlreadySubscribed, message));
        }
        subscriptions.len()
    };
    let count_max = worker.core.config.subscriptions_per_connection_max;
    if count >= count_max {
        let message = format!("a connection subscribes to at most {count_max} teams");
        return connection.refuse(id, Refusal::new(ErrorCode::TooManySubscriptions, message));
    }
    let subscription = worker.hub.hold(team.clone(), Rc::clone(connection), user);
    connection.subscriptions.borrow_mut().insert(team, Rc::clone(&subscription));
    let cursor = request.after.map(Seq::new);
    let worker = Rc::clone(worker);
    actix_web::rt::spawn(async move {
        let mut catch_up = CatchUp { worker: &worker, subscription: &subscription, fence: Seq::ZERO };
        match catch_up.open(cursor).await {
            Ok(()) => {
                let reply = wire::Subscribed { team: subscription.team.to_string(), last_seq: catch_up.fence.get() };
                subscription.connection.reply(id, Content::Subscribed(reply));
            }
            Err(refusal) => {
                // The reply to an `unsubscribe` that came first was the last word, but this request still has one due.
                worker.hub.end(&subscription);
                return subscription.connection.refuse(id, refusal);
            }
        }
        if let Err(refusal) = catch_up.run(cursor).await {
            worker.hub.end_because(&subscription, refusal);
        }
    });
}

/// Ends a subscription, whether it is live or still catching up.
pub(super) fn unsubscribe(worker: &Worker, connection: &Connection, id: String, request: &wire::Unsubscribe) {
    let team = match parse_team(&request.team) {
        Ok(team) => team,
        Err(refusal) => return connection.refuse(id, refusal),
    };
    let subscription = connection.subscriptions.borrow().get(&team).cloned();
    match subscription {
        Some(subscription) => {
            worker.hub.end(&subscription);
            connection.reply(id, Content::Unsubscribed(wire::Unsubscribed { team: team.to_string() }));
        }
        None => {
            let message = "this connection does not subscribe to the team";
            connection.refuse(id, Refusal::new(ErrorCode::NotSubscribed, message));
        }
    }
}

struct CatchUp<'a> {
    worker: &'a Worker,
    subscription: &'a Rc<Subscription>,
    /// Everything after this position is held or delivered; what lies up to it is in history.
    fence: Seq,
}

impl CatchUp<'_> {
    /// Attaches to the live events and checks that the user may have them.
    async fn open(&mut self, cursor: Option<Seq>) -> Result<(), Refusal> {
        let core = &self.worker.core;
        self.fence = self.worker.hub.attach(self.subscription).await?;
        let (team, user) = (&self.subscription.team, self.subscription.user());
        core.memberships.check_as_of(team, user, self.fence).await?;
        if let Some(cursor) = cursor.filter(|cursor| *cursor > self.fence) {
            self.check_cursor(cursor).await?;
            // Events up to the cursor are not sent, so a removal among them must be part of the answer.
            core.memberships.check_as_of(team, user, cursor).await?;
        }
        Ok(())
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

    /// Sends everything after the cursor, then what was held, then lets the subscription go live.
    async fn run(&self, cursor: Option<Seq>) -> Result<(), Refusal> {
        let mut place = Contiguity::after(cursor.unwrap_or(self.fence));
        if cursor.is_some() {
            self.send_history(&mut place, self.fence).await?;
        }
        let mut overflows = 0;
        while !self.subscription.is_ended() {
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
                self.send_history(&mut place, last).await?;
            } else if deliveries.is_empty() {
                // Nothing was awaited since the held events were taken: none can have come in between.
                let caught_up = wire::CaughtUp { team: self.subscription.team.to_string(), seq: place.last().get() };
                self.subscription.connection.push(Content::CaughtUp(caught_up));
                self.subscription.go_live(place.last());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends the stored events after `place`, at least up to `through`.
    async fn send_history(&self, place: &mut Contiguity, through: Seq) -> Result<(), Refusal> {
        let history = &self.worker.core.history;
        loop {
            let (events, has_more) = history.list_events(&self.subscription.team, place.last(), through).await?;
            for event in events {
                self.send(place, &Delivery::new(event)).await;
            }
            if !has_more || self.subscription.is_ended() {
                // Positions up to `through` that history does not show were not for showing.
                place.advance(through);
                return Ok(());
            }
        }
    }

    async fn send_held(&self, place: &mut Contiguity, delivery: &Delivery) -> Result<(), Refusal> {
        match place.judge(&delivery.event) {
            Step::Seen => {}
            Step::Next => self.send(place, delivery).await,
            Step::Gap { .. } => {
                self.send_history(place, delivery.event.prev_seq).await?;
                if delivery.event.seq > place.last() {
                    self.send(place, delivery).await;
                }
            }
        }
        Ok(())
    }

    /// Queues one event, waiting for room: a reader that is slow here slows down its own catch-up only. The user's own
    /// removal, when it lies after the fence, is the last event.
    async fn send(&self, place: &mut Contiguity, delivery: &Delivery) {
        self.subscription.connection.outbox.has_room().await;
        if self.subscription.is_ended() {
            return;
        }
        place.advance(delivery.event.seq);
        self.subscription.connection.push_delivery(delivery);
        if delivery.event.seq > self.fence && is_removal_of(&delivery.event, self.subscription.user()) {
            self.worker.hub.end_because(self.subscription, not_found());
        }
    }
}

fn is_removal_of(event: &Event, user: &UserId) -> bool {
    matches!(&event.kind, EventKind::MemberRemoved { user: removed } if removed == user)
}
