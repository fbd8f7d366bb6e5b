//! Which teams a client of LabelLab follows. Clients of old never say so: they follow all teams of their user. What they
//! missed, and what breaks off, is followed again for them.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use futures_util::{StreamExt as _, stream};
use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::sync::Notify;

use crate::{
    connection::{CatchUp, Connection},
    relay,
    worker::Worker,
};

/// Subscriptions of one client that are opened at once, or catch up at once.
const AT_ONCE: usize = 32;

/// What one client follows, beyond the subscriptions that it has.
#[derive(Default)]
pub(crate) struct Following {
    /// Whether the client follows all teams of its user. Ends with its first `join`.
    automatic: Cell<bool>,
    /// Whether the client has had its chance to say how far it has seen.
    settled: Cell<bool>,
    /// Subscriptions that are open and hold events until that.
    pending: RefCell<HashMap<TeamId, CatchUp>>,
    /// Teams that the client has left, or has no good cursor of. Bounded by the teams that it names.
    left: RefCell<HashSet<TeamId>>,
    /// Teams to be followed again, and from where. Bounded by the teams of the user.
    broken: RefCell<BTreeMap<TeamId, Option<Seq>>>,
    /// Woken when there is one more of them.
    pub(super) broke: Notify,
}

/// One client's following, with what it takes to follow.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) worker: Rc<Worker>,
    pub(super) connection: Rc<Connection>,
    /// Who has to be a member; `None` for a client without a token.
    pub(super) user: Option<UserId>,
    pub(super) following: Rc<Following>,
}

/// A subscription that could not be opened, and from where the next attempt has to start for nothing to be missing.
struct NotOpened {
    refusal: Refusal,
    from: Option<Seq>,
}

impl Following {
    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    pub(super) fn is_automatic(&self) -> bool {
        self.automatic.get()
    }

    pub(super) fn has_broken(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    /// Notes a subscription that broke off after `sent`, so that it is made again. Says whether it will be.
    pub(super) fn take_up_again(&self, team: &TeamId, sent: Option<Seq>) -> bool {
        if self.automatic.get() {
            let mut broken = self.broken.borrow_mut();
            let from = broken.entry(team.clone()).or_insert(sent);
            // The earlier one of two that are known.
            *from = from.iter().copied().chain(sent).min();
            self.broke.notify_one();
        }
        self.automatic.get()
    }

    /// Lets go of everything: the client is gone.
    pub(super) fn end(&self) {
        self.automatic.set(false);
        // Nothing is held any more, not by what is still being opened either.
        self.settled.set(true);
        // Not dropped while borrowed: it may be what keeps this alive.
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        drop(pending);
        self.broken.borrow_mut().clear();
    }

    fn has_left(&self, team: &TeamId) -> bool {
        self.left.borrow().contains(team)
    }
}

impl Follower {
    /// Follows `teams`, those in `cursors` from there on. Subscriptions are open and hold events when it returns.
    /// `automatic` = they are all teams of the user, and new ones are to be noticed.
    pub(super) async fn begin(&self, teams: BTreeSet<TeamId>, cursors: &BTreeMap<TeamId, Seq>, automatic: bool) {
        self.following.automatic.set(automatic);
        let wanted = teams.into_iter().map(|team| {
            let cursor = cursors.get(&team).copied();
            (team, cursor)
        });
        self.open_all(wanted.collect()).await;
    }

    /// Opens what is still wanted when its turn comes.
    async fn open_all(&self, wanted: Vec<(TeamId, Option<Seq>)>) {
        let opening = stream::iter(wanted).for_each_concurrent(AT_ONCE, |(team, cursor)| async move {
            if self.following.has_left(&team) || self.connection.subscriptions.borrow().contains_key(&team) {
                return;
            }
            match self.open(team.clone(), cursor).await {
                Ok(catch_up) => self.hold(catch_up),
                // The client has named the team meanwhile, or left it.
                Err(NotOpened { refusal, .. }) if refusal.code == ErrorCode::AlreadySubscribed => {}
                Err(_) if self.following.has_left(&team) => {}
                Err(not_opened) => self.not_followed(&team, not_opened),
            }
        });
        opening.await;
    }

    fn not_followed(&self, team: &TeamId, NotOpened { refusal, from }: NotOpened) {
        if refusal.code == ErrorCode::InvalidCursor {
            // Following it from elsewhere would leave a hole that nobody is told of.
            self.following.left.borrow_mut().insert(team.clone());
        }
        self.connection.subscription_ended(team, from, refusal);
    }

    /// Opens a subscription: it holds events back.
    async fn open(&self, team: TeamId, cursor: Option<Seq>) -> Result<CatchUp, NotOpened> {
        let mut catch_up = CatchUp::start(&self.worker, &self.connection, team, self.user.clone())
            .map_err(|refusal| NotOpened { refusal, from: cursor })?;
        let opened = async {
            catch_up.open().await?;
            match cursor {
                Some(cursor) => catch_up.set_cursor(cursor).await,
                None => Ok(()),
            }
        };
        let outcome = opened.await;
        let from = cursor.or(catch_up.attached_at());
        match outcome {
            Ok(()) if catch_up.is_ended() => Err(NotOpened { refusal: relay::unavailable(), from }),
            Ok(()) => Ok(catch_up),
            Err(refusal) => Err(NotOpened { refusal, from }),
        }
    }

    /// Keeps an open subscription until the client has said how far it has seen.
    fn hold(&self, catch_up: CatchUp) {
        if self.following.settled.get() {
            actix_web::rt::spawn(catch_up.run());
        } else {
            self.following.pending.borrow_mut().insert(catch_up.team().clone(), catch_up);
        }
    }

    /// The client has said how far it has seen, or has had its time: lets everything flow.
    pub(super) fn settle(&self) {
        self.following.settled.set(true);
        let pending = std::mem::take(&mut *self.following.pending.borrow_mut());
        if !pending.is_empty() {
            let flowing = stream::iter(pending.into_values()).for_each_concurrent(AT_ONCE, CatchUp::run);
            actix_web::rt::spawn(flowing);
        }
    }

    /// `join`: follows `team`, from `after` on or from now on, and none that the client has not named. Returns the team's
    /// position. A `join` that is refused changes nothing.
    pub(super) async fn join(&self, team: TeamId, after: Option<Seq>) -> Result<Seq, Refusal> {
        let fence = self.follow(&team, after).await?;
        self.following.automatic.set(false);
        if !self.following.settled.replace(true) {
            // Nothing of them has been sent yet: the client wants those that it names.
            let unwanted = std::mem::take(&mut *self.following.pending.borrow_mut());
            for team in unwanted.keys() {
                // It is among the connection's subscriptions as long as it is held.
                let _ = self.worker.hub.end_of(&self.connection, team);
            }
        }
        Ok(fence)
    }

    /// `resume`, for one team: follows it from `cursor` on. Returns the team's position. When that is refused, the client
    /// is also told that the team is not followed, unless it will be by itself.
    pub(super) async fn resume(&self, team: TeamId, cursor: Seq) -> Result<Seq, Refusal> {
        if !self.following.pending.borrow().contains_key(&team) {
            // Events that flow already begin anew behind what the client has seen: better twice than never.
            let _ = self.worker.hub.end_of(&self.connection, &team);
        }
        let outcome = self.follow(&team, Some(cursor)).await;
        if let Err(refusal) = &outcome {
            self.not_followed(&team, NotOpened { refusal: refusal.clone(), from: Some(cursor) });
        }
        outcome
    }

    async fn follow(&self, team: &TeamId, cursor: Option<Seq>) -> Result<Seq, Refusal> {
        let held = self.following.pending.borrow_mut().remove(team);
        // One that broke off while it was held is made anew.
        let catch_up = match held.filter(|held| !held.is_ended()) {
            Some(mut held) => {
                if let Some(cursor) = cursor
                    && let Err(refusal) = held.set_cursor(cursor).await
                {
                    // It was held for a client that did not name it.
                    self.following.take_up_again(team, held.attached_at());
                    return Err(refusal);
                }
                held
            }
            None => self.open(team.clone(), cursor).await.map_err(|not_opened| not_opened.refusal)?,
        };
        self.following.left.borrow_mut().remove(team);
        self.following.broken.borrow_mut().remove(team);
        let fence = catch_up.fence();
        actix_web::rt::spawn(catch_up.run());
        Ok(fence)
    }

    /// `leave`: follows `team` no longer.
    pub(super) fn leave(&self, team: &TeamId) -> Result<(), Refusal> {
        self.following.pending.borrow_mut().remove(team);
        let was_broken = self.following.broken.borrow_mut().remove(team).is_some();
        let ended = self.worker.hub.end_of(&self.connection, team);
        if was_broken || ended.is_ok() {
            self.following.left.borrow_mut().insert(team.clone());
            return Ok(());
        }
        ended
    }

    /// Follows what broke off, and of `teams`, which are all teams of the user, those that are new.
    pub(super) async fn refresh(&self, teams: Vec<TeamId>) {
        let mut wanted: BTreeMap<_, _> = std::mem::take(&mut *self.following.broken.borrow_mut());
        if self.following.automatic.get() {
            let subscribed = self.connection.subscriptions.borrow();
            let count_max = self.worker.core.config.subscriptions_per_connection_max;
            let room = count_max.saturating_sub(subscribed.len() + wanted.len());
            let is_new = |team: &TeamId| !subscribed.contains_key(team) && !self.following.has_left(team);
            for team in teams.into_iter().filter(is_new).take(room) {
                wanted.entry(team).or_default();
            }
        }
        self.open_all(wanted.into_iter().collect()).await;
    }
}
