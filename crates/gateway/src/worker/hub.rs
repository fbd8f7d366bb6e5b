//! Team → subscriptions of this worker. Fans events out to outboxes; decides nothing about who may subscribe.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use huddle_domain::{EventKind, Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};

use crate::{
    connection::Connection,
    core::Core,
    labellab::Typing,
    memberships::not_found,
    relay::{Attachment, Delivery, Recent, WorkerId},
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
    /// Who has to be a member; `None` = nobody is asked.
    user: Option<UserId>,
    state: RefCell<State>,
    /// Everything up to this position is in the outbox; `None` before that can be said.
    sent: Cell<Option<Seq>>,
    /// What keeps the team's events coming to this worker, once the subscription has it.
    attachment: RefCell<Option<Attachment>>,
    ended: Cell<bool>,
}

enum State {
    /// Catching up: live events wait.
    Holding(HeldEvents),
    /// Live: events go out at once.
    Live,
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
    pub(crate) fn hold(&self, team: TeamId, connection: Rc<Connection>, user: Option<UserId>) -> Rc<Subscription> {
        let subscription = Rc::new(Subscription {
            team: team.clone(),
            connection,
            user,
            state: RefCell::new(State::Holding(HeldEvents::default())),
            sent: Cell::new(None),
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

    /// Ends the subscription of `connection` to `team`, whether it is live or still catching up.
    pub(crate) fn end_of(&self, connection: &Connection, team: &TeamId) -> Result<(), Refusal> {
        let subscription = connection.subscriptions.borrow().get(team).cloned();
        match subscription {
            Some(subscription) => {
                self.end(&subscription);
                Ok(())
            }
            None => Err(Refusal::new(ErrorCode::NotSubscribed, "this connection does not subscribe to the team")),
        }
    }

    /// Ends a subscription without its client's asking, and tells the client why.
    pub(crate) fn end_because(&self, subscription: &Rc<Subscription>, refusal: Refusal) {
        if subscription.is_ended() {
            return;
        }
        self.end(subscription);
        subscription.connection.subscription_ended(&subscription.team, subscription.sent.get(), refusal);
    }

    /// Gives the next event of its team to every subscription. A member who is removed by it receives it as the last one.
    pub(crate) fn deliver(&self, delivery: &Arc<Delivery>) {
        let mut removed = Vec::new();
        if let Some(subscriptions) = self.teams.borrow().get(&delivery.event.team) {
            for subscription in subscriptions {
                subscription.offer(delivery);
            }
            if let EventKind::MemberRemoved { user } = &delivery.event.kind {
                removed.extend(
                    subscriptions.iter().filter(|one| one.user.as_ref() == Some(user) && one.is_live()).map(Rc::clone),
                );
            }
        }
        // After the loop: pushing to a full outbox closes a connection, which ends its subscriptions.
        for subscription in removed {
            self.end_because(&subscription, not_found());
        }
    }

    /// Tells every live subscription to `team` but those of the same user that somebody is typing.
    pub(crate) fn typing(&self, team: &TeamId, typing: &Typing) {
        let subscriptions = self.teams.borrow().get(team).cloned().unwrap_or_default();
        for subscription in subscriptions.iter().filter(|one| one.is_live() && one.user.as_ref() != Some(&typing.user))
        {
            subscription.connection.push_typing(team, typing);
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
    /// delivered, from here on. Also returns what the feed keeps of the events up to there.
    pub(crate) async fn attach(&self, subscription: &Rc<Subscription>) -> Result<(Seq, Arc<Recent>), Refusal> {
        let (position, attachment) =
            self.core.relay.attach(self.worker, &subscription.team, subscription.connection.shows_people()).await?;
        let recent = Arc::clone(attachment.recent());
        if !subscription.is_ended() {
            *subscription.attachment.borrow_mut() = Some(attachment);
        }
        Ok((position, recent))
    }
}

impl Subscription {
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Who has to be a member; `None` = nobody is asked.
    pub(crate) fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// Takes the held events out; the subscription goes on holding.
    pub(crate) fn take_held(&self) -> HeldEvents {
        match &mut *self.state.borrow_mut() {
            State::Holding(held) => std::mem::take(held),
            State::Live => HeldEvents::default(),
        }
    }

    /// Everything up to `seq` is in the outbox, or what is not is not wanted.
    pub(crate) fn set_sent(&self, seq: Seq) {
        self.sent.set(Some(seq));
    }

    /// Everything up to this position is in the outbox, or not wanted; zero before that can be said.
    pub(crate) fn sent(&self) -> Seq {
        self.sent.get().unwrap_or(Seq::ZERO)
    }

    /// Ends the catch-up: everything up to [`Subscription::set_sent`] is in the outbox, and nothing is held.
    pub(crate) fn go_live(&self) {
        *self.state.borrow_mut() = State::Live;
    }

    fn is_live(&self) -> bool {
        matches!(&*self.state.borrow(), State::Live)
    }

    fn offer(&self, delivery: &Arc<Delivery>) {
        match &mut *self.state.borrow_mut() {
            State::Holding(held) if held.deliveries.len() < HELD_EVENTS_MAX => {
                held.deliveries.push_back(Arc::clone(delivery));
            }
            State::Holding(held) => held.overflowed = true,
            State::Live if self.sent.get().is_none_or(|sent| delivery.event.seq > sent) => {
                self.sent.set(Some(delivery.event.seq));
                self.connection.push_delivery(delivery);
            }
            State::Live => {}
        }
    }
}
