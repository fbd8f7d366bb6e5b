//! One of LabelLab's clients: its events, and the deadlines of its connection.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_service::backoff::Backoff;
use huddle_socketio::{AckId, Event, Handler};
use rand::RngExt as _;
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    config::LabelLabRules,
    following::Follower,
    ids::{ShownId, ShownNumber},
    payload::{self, SendMessage},
    typing::Typing,
    way::shown_error,
};
use crate::{
    connection::{ReplyTo, SendQueue},
    worker,
};

/// How long events wait for a client to say how far it has seen: longer than a round trip, shorter than people wait.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether the user is in new teams; up to half of it is added, so that clients spread.
const REFRESH_INTERVAL: Duration = Duration::from_secs(40);
/// The pauses before what broke off is followed again.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(20);
/// How often a client can say that its user is typing, in each team; what comes sooner is dropped.
const TYPING_INTERVAL: Duration = Duration::from_secs(1);

/// Who a client acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The user of its token.
    User(UserId),
    /// Whoever each message says, in the teams that are open to clients without a token.
    Anybody,
}

/// A client that is connected.
pub(super) struct Client {
    pub(super) follower: Follower,
    pub(super) caller: Caller,
    pub(super) rules: Rc<LabelLabRules>,
    /// The key of the connection at the worker.
    pub(super) key: u64,
    pub(super) sends: OnceCell<SendQueue>,
    /// When the user was last said to be typing; at most one entry for each subscription.
    pub(super) typed: RefCell<HashMap<TeamId, Instant>>,
    pub(super) gone: Gone,
}

/// Whether the client is gone, for whom it concerns.
#[derive(Default)]
pub(super) struct Gone {
    is: Cell<bool>,
    told: Notify,
}

impl Handler for Client {
    fn event(&self, event: Event) -> LocalBoxFuture<'_, ()> {
        self.handle(event).boxed_local()
    }

    fn send_away(&self) {
        let connection = Rc::clone(&self.follower.connection);
        actix_web::rt::spawn(async move { worker::send_away(&connection).await });
    }

    fn disconnected(&self) {
        self.gone.is.set(true);
        self.gone.told.notify_one();
        self.follower.following.end();
        self.follower.connection.end_subscriptions(&self.follower.worker);
        self.follower.worker.leave(self.key);
    }
}

impl Client {
    async fn handle(&self, event: Event) {
        self.follower.worker.core.metrics.frames_in.inc();
        let ack = event.ack;
        let outcome = match event.name.as_str() {
            "send_message" => self.send_message(&event).await,
            "join" => self.join(&event).await,
            "leave" => self.leave(&event),
            "resume" => self.resume(&event).await,
            "typing" => self.typing(&event).await,
            // Clients of old may have events of their own: only who asks for an answer hears that there is none.
            _ if ack.is_none() => Ok(()),
            _ => Err(Refusal::new(ErrorCode::UnknownRequest, "there is no such event here")),
        };
        if let Err(refusal) = outcome {
            self.follower.connection.refuse(ReplyTo::Ack(ack), refusal);
        }
    }

    async fn send_message(&self, event: &Event) -> Result<(), Refusal> {
        let message: SendMessage = payload::argument(event)?;
        let named = message.user_id.as_ref().map(|user| payload::user_id("user_id", user)).transpose()?;
        let sender = match (&self.caller, named) {
            (Caller::User(user), None) => user.clone(),
            (Caller::User(user), Some(named)) if named == *user => named,
            (Caller::User(_), Some(_)) => {
                let message = "`user_id` is another user than the token's";
                return Err(Refusal::new(ErrorCode::Forbidden, message));
            }
            (Caller::Anybody, Some(named)) => named,
            (Caller::Anybody, None) => {
                return Err(Refusal::new(ErrorCode::InvalidId, "`user_id` is missing, and there is no token"));
            }
        };
        let send = message.into_send(sender, &self.rules.entity_kinds)?;
        self.may_use(&send.team)?;
        let queue = self
            .sends
            .get_or_init(|| SendQueue::start(Rc::clone(&self.follower.worker), Rc::clone(&self.follower.connection)));
        queue.send(ReplyTo::Ack(event.ack), send).await;
        Ok(())
    }

    async fn join(&self, event: &Event) -> Result<(), Refusal> {
        let (team, after) = payload::team(event)?;
        self.may_use(&team)?;
        let last_seq = self.follower.join(team.clone(), after).await?;
        self.acknowledge(
            event.ack,
            &json!({ "team_id": ShownId(team.as_str()), "last_seq": ShownNumber(last_seq.get()) }),
        );
        Ok(())
    }

    fn leave(&self, event: &Event) -> Result<(), Refusal> {
        let (team, _) = payload::team(event)?;
        self.follower.leave(&team)?;
        self.acknowledge(event.ack, &json!({ "team_id": ShownId(team.as_str()) }));
        Ok(())
    }

    async fn resume(&self, event: &Event) -> Result<(), Refusal> {
        let cursors = payload::resume(event)?;
        let teams = self.resume_teams(cursors).await;
        self.follower.settle();
        self.acknowledge(event.ack, &json!({ "teams": teams }));
        Ok(())
    }

    async fn resume_teams(&self, cursors: BTreeMap<TeamId, Seq>) -> serde_json::Map<String, serde_json::Value> {
        let mut teams = serde_json::Map::new();
        for (team, cursor) in cursors {
            let outcome = match self.may_use(&team) {
                Ok(()) => self.follower.resume(team.clone(), cursor).await,
                Err(refusal) => Err(refusal),
            };
            let answer = match outcome {
                Ok(last_seq) => json!({ "last_seq": ShownNumber(last_seq.get()) }),
                Err(refusal) => {
                    self.follower.worker.core.metrics.refused(refusal.code);
                    json!({ "error": shown_error(&refusal.into()) })
                }
            };
            teams.insert(team.to_string(), answer);
        }
        teams
    }

    async fn typing(&self, event: &Event) -> Result<(), Refusal> {
        let (team, _) = payload::team(event)?;
        let Caller::User(user) = &self.caller else {
            return Err(Refusal::new(ErrorCode::Forbidden, "who is typing is said by a token"));
        };
        if !self.follower.connection.subscriptions.borrow().contains_key(&team) {
            let message = "this connection does not subscribe to the team";
            return Err(Refusal::new(ErrorCode::NotSubscribed, message));
        }
        let is_soon = {
            let (mut typed, now) = (self.typed.borrow_mut(), Instant::now());
            typed.retain(|_, at| now < *at + TYPING_INTERVAL);
            let is_soon = typed.contains_key(&team);
            typed.entry(team.clone()).or_insert(now);
            is_soon
        };
        if !is_soon {
            let core = &self.follower.worker.core;
            let name = core.names.of([user]).await.remove(user);
            core.relay.signal_typing(&team, &Typing::new(user.clone(), name)).await?;
        }
        self.acknowledge(event.ack, &json!({}));
        Ok(())
    }

    /// A client without a token uses the teams that are open to such clients; the others' membership is checked later.
    fn may_use(&self, team: &TeamId) -> Result<(), Refusal> {
        match &self.caller {
            Caller::Anybody if !self.rules.legacy_teams.contains(team) => Err(crate::memberships::not_found()),
            _ => Ok(()),
        }
    }

    fn acknowledge(&self, ack: Option<AckId>, answer: &serde_json::Value) {
        self.follower.connection.acknowledge(ack, answer);
    }

    /// Keeps the client's deadlines until it is gone.
    pub(super) async fn tend(self: Rc<Self>) {
        let following = Rc::clone(&self.follower.following);
        let settle_at = Instant::now() + SETTLE_PATIENCE;
        let mut retries = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut refresh_at = next_refresh();
        let mut refreshing: Option<LocalBoxFuture<'static, bool>> = None;
        if following.has_broken() {
            refresh_at = Instant::now() + retries.next_delay(&mut rand::rng());
        }
        while !self.gone.is.get() {
            let is_refreshed = refreshing.is_none() && (following.is_automatic() || following.has_broken());
            let deadlines = [
                self.follower.connection.identity_deadline(),
                (!following.is_settled()).then_some(settle_at),
                is_refreshed.then_some(refresh_at),
            ];
            let next = deadlines.into_iter().flatten().min();
            tokio::select! {
                () = self.gone.told.notified() => break,
                () = following.broke.notified() => {
                    refresh_at = refresh_at.min(Instant::now() + retries.next_delay(&mut rand::rng()));
                }
                is_whole = outcome(&mut refreshing) => {
                    if is_whole {
                        retries = Backoff::new(RETRY_BASE, RETRY_CAP);
                        refresh_at = next_refresh();
                    } else {
                        refresh_at = Instant::now() + retries.next_delay(&mut rand::rng());
                    }
                }
                () = reached(next) => {}
            }
            let now = Instant::now();
            self.follower.connection.keep_identity();
            if !following.is_settled() && now >= settle_at {
                self.follower.settle();
            }
            if is_refreshed && refreshing.is_none() && now >= refresh_at {
                let client = Rc::clone(&self);
                refreshing = Some(async move { client.refresh().await }.boxed_local());
            }
        }
        if let Some(refreshing) = refreshing {
            // What is being opened is not to be left half-way, and then to be ended.
            refreshing.await;
            following.end();
            self.follower.connection.end_subscriptions(&self.follower.worker);
        }
    }

    /// Follows what is missing. Says whether nothing is any more, as far as is known.
    async fn refresh(&self) -> bool {
        let core = &self.follower.worker.core;
        let teams = match &self.caller {
            _ if !self.follower.following.is_automatic() => Ok(Vec::new()),
            Caller::User(user) => core.memberships.teams_of(user, core.config.subscriptions_per_connection_max).await,
            Caller::Anybody => Ok(self.rules.legacy_teams.clone()),
        };
        let is_known = teams.is_ok();
        self.follower.refresh(teams.unwrap_or_default()).await;
        is_known && !self.follower.following.has_broken()
    }
}

/// The outcome of what is under way; never, where nothing is. Cancel safe.
async fn outcome(running: &mut Option<LocalBoxFuture<'static, bool>>) -> bool {
    let Some(future) = running else { return std::future::pending().await };
    let outcome = future.await;
    *running = None;
    outcome
}

/// Waits for a deadline; for ever where there is none.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn next_refresh() -> Instant {
    Instant::now() + rand::rng().random_range(REFRESH_INTERVAL..=REFRESH_INTERVAL * 3 / 2)
}
