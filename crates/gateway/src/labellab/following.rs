//! Which teams a client of LabelLab follows. Clients of old never say so: they follow all teams of their user. What they
//! missed, and what breaks off, is followed again for them.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use futures_util::{StreamExt as _, stream};
use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::sync::Notify;

use crate::{
    connection::{CatchUp, Connection},
    worker::Worker,
};

/// Subscriptions of one client that are opened at once.
const OPENS_AT_ONCE: usize = 32;

/// What one client follows, beyond the subscriptions that it has.
#[derive(Default)]
pub(crate) struct Following {
    /// Whether the client follows all teams of its user. Ends with its first `join`.
    automatic: Cell<bool>,
    /// Whether the client has had its chance to say how far it has seen.
    settled: Cell<bool>,
    /// Subscriptions that are open and hold events until that.
    pending: RefCell<HashMap<TeamId, CatchUp>>,
    /// Teams that the client has left.
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
            self.broken.borrow_mut().insert(team.clone(), sent);
            self.broke.notify_one();
        }
        self.automatic.get()
    }

    /// Lets go of everything: the client is gone.
    pub(super) fn end(&self) {
        self.automatic.set(false);
        // Not dropped while borrowed: it may be what keeps this alive.
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        drop(pending);
        self.broken.borrow_mut().clear();
    }
}

impl Follower {
    /// Follows `teams`, and those in `cursors` from there on. Subscriptions are open and hold events when it returns.
    /// `automatic` = they are all teams of the user, and new ones are to be noticed.
    pub(super) async fn begin(&self, teams: Vec<TeamId>, mut cursors: BTreeMap<TeamId, Seq>, automatic: bool) {
        self.following.automatic.set(automatic);
        let wanted = teams.into_iter().map(|team| {
            let cursor = cursors.remove(&team);
            (team, cursor)
        });
        let mut wanted: Vec<_> = wanted.collect();
        // A cursor of a team that is not among them is a wish to follow it, too.
        wanted.extend(cursors.into_iter().map(|(team, cursor)| (team, Some(cursor))));
        self.open_all(wanted).await;
    }

    async fn open_all(&self, wanted: Vec<(TeamId, Option<Seq>)>) {
        let opening = stream::iter(wanted).for_each_concurrent(OPENS_AT_ONCE, |(team, cursor)| async move {
            match self.open(team.clone(), cursor).await {
                Ok((catch_up, _)) => self.hold(catch_up),
                Err(refusal) => self.connection.subscription_ended(&team, cursor, refusal),
            }
        });
        opening.await;
    }

    /// Opens a subscription: it holds events back. Returns it with the team's position at that moment.
    async fn open(&self, team: TeamId, cursor: Option<Seq>) -> Result<(CatchUp, Seq), Refusal> {
        let mut catch_up = CatchUp::start(&self.worker, &self.connection, team, self.user.clone())?;
        let fence = catch_up.open().await?;
        if let Some(cursor) = cursor {
            catch_up.set_cursor(cursor).await?;
        }
        Ok((catch_up, fence))
    }

    /// Keeps an open subscription until the client has said how far it has seen.
    fn hold(&self, catch_up: CatchUp) {
        if self.following.settled.get() {
            run(catch_up);
        } else {
            self.following.pending.borrow_mut().insert(catch_up.team().clone(), catch_up);
        }
    }

    /// The client has said how far it has seen, or has had its time: lets everything flow.
    pub(super) fn settle(&self) {
        self.following.settled.set(true);
        let pending = std::mem::take(&mut *self.following.pending.borrow_mut());
        pending.into_values().for_each(run);
    }

    /// `join`: follows `team`, from `after` on or from now on, and none that the client has not named. Returns the team's
    /// position.
    pub(super) async fn join(&self, team: TeamId, after: Option<Seq>) -> Result<Seq, Refusal> {
        self.following.automatic.set(false);
        self.following.left.borrow_mut().remove(&team);
        let held = self.following.pending.borrow_mut().remove(&team);
        if !self.following.settled.replace(true) {
            // Nothing of them has been sent yet: the client wants those that it names.
            let unwanted = std::mem::take(&mut *self.following.pending.borrow_mut());
            for team in unwanted.keys() {
                // It is among the connection's subscriptions as long as it is held.
                let _ = self.worker.hub.end_of(&self.connection, team);
            }
        }
        self.follow(held, team, after).await
    }

    /// `resume`, for one team: follows it from `cursor` on. Returns the team's position.
    pub(super) async fn resume(&self, team: TeamId, cursor: Seq) -> Result<Seq, Refusal> {
        self.following.left.borrow_mut().remove(&team);
        let held = self.following.pending.borrow_mut().remove(&team);
        if held.is_none() {
            // Events that flow already begin anew behind what the client has seen: better twice than never.
            let _ = self.worker.hub.end_of(&self.connection, &team);
        }
        self.follow(held, team, Some(cursor)).await
    }

    async fn follow(&self, held: Option<CatchUp>, team: TeamId, cursor: Option<Seq>) -> Result<Seq, Refusal> {
        self.following.broken.borrow_mut().remove(&team);
        // One that broke off while it was held is made anew.
        let (catch_up, fence) = match held.filter(|held| !held.is_ended()) {
            Some(mut catch_up) => {
                if let Some(cursor) = cursor {
                    catch_up.set_cursor(cursor).await?;
                }
                let fence = catch_up.fence();
                (catch_up, fence)
            }
            None => match self.open(team, cursor).await {
                Err(refusal) if refusal.code == ErrorCode::AlreadySubscribed && cursor.is_some() => {
                    let message =
                        "the team's events flow already: `leave` it first, or give the cursor when connecting";
                    return Err(Refusal::new(ErrorCode::AlreadySubscribed, message));
                }
                opened => opened?,
            },
        };
        run(catch_up);
        Ok(fence)
    }

    /// `leave`: follows `team` no longer.
    pub(super) fn leave(&self, team: &TeamId) -> Result<(), Refusal> {
        self.following.pending.borrow_mut().remove(team);
        self.following.broken.borrow_mut().remove(team);
        self.worker.hub.end_of(&self.connection, team)?;
        self.following.left.borrow_mut().insert(team.clone());
        Ok(())
    }

    /// Follows what broke off, and, when `teams` are all teams of the user, those that are new.
    pub(super) async fn refresh(&self, teams: Vec<TeamId>) {
        let mut wanted: BTreeMap<_, _> = std::mem::take(&mut *self.following.broken.borrow_mut());
        {
            let subscribed = self.connection.subscriptions.borrow();
            let left = self.following.left.borrow();
            for team in teams.into_iter().filter(|team| !left.contains(team)) {
                wanted.entry(team).or_default();
            }
            wanted.retain(|team, _| !subscribed.contains_key(team));
        }
        self.open_all(wanted.into_iter().collect()).await;
    }
}

fn run(catch_up: CatchUp) {
    actix_web::rt::spawn(catch_up.run());
}
