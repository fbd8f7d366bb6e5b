//! Who may connect, and what a client follows from the first moment on.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeSet,
    rc::{Rc, Weak},
    sync::Arc,
    time::SystemTime,
};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use huddle_domain::TeamId;
use huddle_proto::{
    Refusal,
    gateway::v1::{Error, ErrorCode},
};
use huddle_socketio::{Application, ConnectRefused, ConnectRequest, Handler, Socket};

use super::{
    client::{Caller, Client, Gone},
    config::LabelLabRules,
    following::{Follower, Following},
    payload::{self, Wishes},
    way::{Way, shown_error},
};
use crate::{
    connection::{Connection, Identity, Way as ConnectionWay, token_refusal},
    memberships::not_found,
    worker::Worker,
};

/// LabelLab's chat, on one worker thread.
pub(crate) struct LabelLab {
    // The worker keeps the sessions, and these keep this.
    worker: Weak<Worker>,
    rules: Rc<LabelLabRules>,
}

impl LabelLab {
    pub(crate) fn new(worker: &Rc<Worker>, rules: LabelLabRules) -> Self {
        Self { worker: Rc::downgrade(worker), rules: Rc::new(rules) }
    }
}

impl Application for LabelLab {
    fn connect(
        &self,
        request: ConnectRequest,
        socket: Socket,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Handler>, ConnectRefused>> {
        let (worker, rules) = (self.worker.upgrade(), Rc::clone(&self.rules));
        async move {
            let Some(worker) = worker else {
                // The worker is as good as gone, and the session with it.
                return Err(ConnectRefused { message: "the gateway stops".to_owned(), data: None });
            };
            let metrics = worker.core.metrics.clone();
            let client = connect(worker, rules, request, socket.clone()).await.map_err(|refusal| {
                metrics.refused(refusal.code);
                tracing::debug!(code = refusal.code.as_str_name(), "a Socket.IO client may not connect");
                if refusal.code.is_retryable() {
                    // A client that is refused stays away; one whose session ends comes back. So it gets no refusal.
                    socket.close();
                }
                let error = Error::from(refusal);
                ConnectRefused { message: error.message.clone(), data: Some(shown_error(&error)) }
            })?;
            Ok(client as Rc<dyn Handler>)
        }
        .boxed_local()
    }
}

async fn connect(
    worker: Rc<Worker>,
    rules: Rc<LabelLabRules>,
    request: ConnectRequest,
    socket: Socket,
) -> Result<Rc<Client>, Refusal> {
    let Wishes { token, resume, join } = payload::wishes(request.auth, &request.handshake.query)?;
    let core = Arc::clone(&worker.core);
    let now = SystemTime::now();
    let identity = match token.as_deref().or(request.handshake.token.as_deref()) {
        Some(token) => Some(Identity::new(core.verifier.verify_user(token, now).map_err(token_refusal)?, now)),
        None if rules.lets_in(request.handshake.peer.map(|peer| peer.ip())) => None,
        None => {
            let message = "a token is needed: in `auth`, the query parameter `token`, or the header `Authorization`";
            return Err(Refusal::new(ErrorCode::InvalidToken, message));
        }
    };
    let user = identity.as_ref().map(|identity| identity.user.clone());
    let following = Rc::new(Following::default());
    let way = Way { socket, user: user.clone(), following: Rc::clone(&following) };
    let connection = Rc::new(Connection::new(Arc::clone(&core), ConnectionWay::LabelLab(way)));
    let caller = user.clone().map_or(Caller::Anybody, Caller::User);
    let follower = Follower { worker: Rc::clone(&worker), connection: Rc::clone(&connection), user, following };

    let has_said = join.is_some() || !resume.is_empty();
    let is_automatic = join.is_none();
    let teams_max = core.config.subscriptions_per_connection_max;
    let known: BTreeSet<TeamId> = match &caller {
        Caller::Anybody => rules.legacy_teams.iter().cloned().collect(),
        Caller::User(user) => core.memberships.teams_of(user, teams_max).await?.into_iter().collect(),
    };
    let named: BTreeSet<TeamId> = match join {
        Some(named) => named.into_iter().collect(),
        // A cursor of another team is a wish to follow that, too.
        None => known.iter().chain(resume.keys()).cloned().collect(),
    };
    // One packet can name a thousand teams: those of others are not opened only to be refused.
    let may_be_known = |team: &TeamId| known.contains(team) || known.len() >= teams_max;
    let (teams, foreign): (BTreeSet<_>, BTreeSet<_>) = named.into_iter().partition(may_be_known);
    for team in &foreign {
        connection.subscription_ended(team, None, not_found());
    }
    follower.begin(teams, &resume, is_automatic).await;
    if worker.is_draining() {
        // Nobody would send it away any more.
        connection.end_subscriptions(&worker);
        return Err(Refusal::new(ErrorCode::Unavailable, "the gateway restarts"));
    }
    if has_said {
        follower.settle();
    }
    if let Some(identity) = identity {
        connection.identify(identity);
    }
    let client = Rc::new(Client {
        key: worker.enter(connection),
        follower,
        caller,
        rules,
        sends: OnceCell::new(),
        typed: RefCell::default(),
        gone: Gone::default(),
    });
    actix_web::rt::spawn(Rc::clone(&client).tend());
    Ok(client)
}
