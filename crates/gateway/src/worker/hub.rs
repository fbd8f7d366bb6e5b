//! Team → subscriptions of this worker. Fans events out to outboxes; decides nothing about who may subscribe.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use huddle_domain::{EventKind, Seq, TeamId, UserId};
use huddle_proto::{
    Refusal,
    gateway::v1::{SubscriptionEnded, server_frame::Content},
};

use crate::{
    connection::Connection,
    core::Core,
    memberships::not_found,
    protocol::Delivery,
    relay::{Attachment, WorkerId},
};

/// Live events that one subscription holds back while it catches up. Beyond it they are dropped and read from history.
const HELD_EVENTS_MAX: usize = 2_048;

/// The subscriptions of one worker.
pub(crate) struct Hub {
    core: Arc<Core>,
    worker: WorkerId,
    teams: RefCell<HashMap<TeamId, Vec<Rc<Subscription>>>>,
}

/// One connection's subscription to one team.
pub(crate) struct Subscription {
    pub(crate) team: TeamId,
    pub(crate) connection: Rc<Connection>,
    user: UserId,
    state: RefCell<State>,
    /// What keeps the team's events coming to this worker, once the subscription has it.
    attachment: RefCell<Option<Attachment>>,
    ended: Cell<bool>,
}

enum State {
    /// Catching up: live events wait.
    Holding(HeldEvents),
    /// Live: everything up to this position is in the outbox.
    Live(Seq),
}

/// The live events that came while a subscription was catching up.
#[derive(Default)]
pub(crate) struct HeldEvents {
    pub(crate) deliveries: VecDeque<Arc<Delivery>>,
    /// Whether some had to be dropped.
    pub(crate) overflowed: bool,
}

impl Hub {
    pub(crate) fn new(core: Arc<Core>, worker: WorkerId) -> Self {
        Self { core, worker, teams: RefCell::default() }
    }

    /// Takes a subscription in; from now on it holds the team's live events back.
    pub(crate) fn hold(&self, team: TeamId, connection: Rc<Connection>, user: UserId) -> Rc<Subscription> {
        let subscription = Rc::new(Subscription {
            team: team.clone(),
            connection,
            user,
            state: RefCell::new(State::Holding(HeldEvents::default())),
            attachment: RefCell::default(),
            ended: Cell::new(false),
        });
        self.teams.borrow_mut().entry(team).or_default().push(Rc::clone(&subscription));
        self.core.metrics.subscriptions.inc();
        subscription
    }

    /// Ends a subscription: it gets nothing from now on. Ending it again changes nothing.
    pub(crate) fn end(&self, subscription: &Rc<Subscription>) {
        if subscription.ended.replace(true) {
            return;
        }
        let mut teams = self.teams.borrow_mut();
        if let Some(subscriptions) = teams.get_mut(&subscription.team) {
            subscriptions.retain(|other| !Rc::ptr_eq(other, subscription));
            if subscriptions.is_empty() {
                teams.remove(&subscription.team);
            }
        }
        drop(subscription.attachment.take());
        subscription.connection.forget_subscription(&subscription.team);
        self.core.metrics.subscriptions.dec();
    }

    /// Ends a subscription without its client's asking, and tells the client why.
    pub(crate) fn end_because(&self, subscription: &Rc<Subscription>, refusal: Refusal) {
        if subscription.is_ended() {
            return;
        }
        self.end(subscription);
        let team = subscription.team.to_string();
        subscription
            .connection
            .push(Content::SubscriptionEnded(SubscriptionEnded { team, error: Some(refusal.into()) }));
    }

    /// Gives the next event of its team to every subscription. A member who is removed by it receives it as the last one.
    pub(crate) fn deliver(&self, delivery: &Arc<Delivery>) {
        let mut removed = Vec::new();
        if let Some(subscriptions) = self.teams.borrow().get(&delivery.event.team) {
            for subscription in subscriptions {
                subscription.offer(delivery);
            }
            if let EventKind::MemberRemoved { user } = &delivery.event.kind {
                removed.extend(subscriptions.iter().filter(|one| one.user == *user && one.is_live()).map(Rc::clone));
            }
        }
        // After the loop: pushing to a full outbox closes a connection, which ends its subscriptions.
        for subscription in removed {
            self.end_because(&subscription, not_found());
        }
    }

    /// Ends every subscription to `team`.
    pub(crate) fn end_team(&self, team: &TeamId, refusal: &Refusal) {
        let subscriptions = self.teams.borrow().get(team).cloned().unwrap_or_default();
        for subscription in subscriptions {
            self.end_because(&subscription, refusal.clone());
        }
    }

    /// Attaches a subscription to its team's feed and returns the feed's position: every later event is held, or
    /// delivered, from here on.
    pub(crate) async fn attach(&self, subscription: &Rc<Subscription>) -> Result<Seq, Refusal> {
        let (position, attachment) = self.core.relay.attach(self.worker, &subscription.team).await?;
        if !subscription.is_ended() {
            *subscription.attachment.borrow_mut() = Some(attachment);
        }
        Ok(position)
    }
}

impl Subscription {
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.user
    }

    /// Takes the held events out; the subscription goes on holding.
    pub(crate) fn take_held(&self) -> HeldEvents {
        match &mut *self.state.borrow_mut() {
            State::Holding(held) => std::mem::take(held),
            State::Live(_) => HeldEvents::default(),
        }
    }

    /// Ends the catch-up: everything up to `last` is in the outbox, and nothing is held.
    pub(crate) fn go_live(&self, last: Seq) {
        *self.state.borrow_mut() = State::Live(last);
    }

    fn is_live(&self) -> bool {
        matches!(&*self.state.borrow(), State::Live(_))
    }

    fn offer(&self, delivery: &Arc<Delivery>) {
        match &mut *self.state.borrow_mut() {
            State::Holding(held) if held.deliveries.len() < HELD_EVENTS_MAX => {
                held.deliveries.push_back(Arc::clone(delivery));
            }
            State::Holding(held) => held.overflowed = true,
            State::Live(last) => {
                if delivery.event.seq > *last {
                    *last = delivery.event.seq;
                    self.connection.push_delivery(delivery);
                }
            }
        }
    }
}
