//! What a service under test stands on: real NATS, real Postgres, and the tokens that it takes. The tests of other gRPC
//! services use this file too.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use huddle_auth::{Minter, Revocations, Verifier, VerifierOptions};
use huddle_devstack::{Durability, Nats, NatsOptions, Postgres, PostgresOptions, Tools};
use huddle_domain::{ClientId, EventKind, NewEvent, Partition, Seq, TeamId, UserId};
use huddle_log::{Condition, Log as _};
use huddle_log_nats::NatsLog;
use huddle_persistence::Persistence;
use huddle_service::{config::Secret, health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use huddle_store_postgres::PostgresStore;
use tokio::{
    net::TcpStream,
    process::Command,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use crate::cable::Cable;

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const SERVICE_TOKEN: &str = "a-service-token-of-more-than-32-bytes!";
const SECRET: &str = "a-signing-secret-of-more-than-32-bytes";
const DATABASE: &str = "huddle";
const PARTITION: Partition = Partition::new(0);

pub(crate) struct Backend {
    pub(crate) nats: Nats,
    /// Between the store and Postgres.
    pub(crate) cable: Cable,
    pub(crate) log: Arc<NatsLog>,
    pub(crate) store: Arc<PostgresStore>,
    /// Of the service under test.
    pub(crate) verifier: Arc<Verifier>,
    revocations: Revocations,
    postgres: Postgres,
    tools: Tools,
}

impl Backend {
    /// An empty log and an empty store. Nothing moves from one to the other before [`Backend::keep_storing`].
    pub(crate) async fn start() -> Self {
        let tools = Tools::locate().unwrap();
        let nats = NatsOptions { durability: Durability::Relaxed, ..NatsOptions::default() };
        let (nats, postgres) =
            tokio::join!(Nats::start(&tools, nats), Postgres::start(&tools, PostgresOptions::for_tests()));
        let (nats, postgres) = (nats.unwrap(), postgres.unwrap());
        let cable = Cable::lay(postgres.port()).await;
        let url = postgres.create_database(DATABASE).await.unwrap();
        let config = huddle_store_postgres::Config {
            url: Secret::new(url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", cable.port))),
            ..huddle_store_postgres::Config::default()
        };
        huddle_store_postgres::migrate(&config).await.unwrap();
        let store = Arc::new(PostgresStore::connect(&config).await.unwrap());
        let log = huddle_log_nats::Config { servers: nats.urls(), ..huddle_log_nats::Config::default() };
        let log = Arc::new(NatsLog::connect(log).await.unwrap());
        log.prepare(PARTITION, Seq::ZERO).await.unwrap();
        let revocations = Revocations::default();
        let verifier = Arc::new(Verifier::new(auth()).unwrap().with_revocations(revocations.clone()));
        Self { nats, cable, log, store, verifier, revocations, postgres, tools }
    }

    /// Revokes all tokens of `user`, and of nobody else.
    pub(crate) fn revoke(&self, user: &str) {
        self.revocations.replace(HashSet::from([jti(user).into()]));
    }

    /// Runs persistence until the handle is dropped.
    pub(crate) fn keep_storing(&self) -> AbortOnDropHandle<()> {
        let persistence = Persistence::new(huddle_persistence::Parts {
            config: huddle_persistence::Config::default(),
            log: self.log.clone(),
            store: self.store.clone(),
            metrics: &Metrics::new(),
            readiness: &Readiness::new(Shutdown::new()),
        });
        let run = persistence.run(Shutdown::new());
        AbortOnDropHandle::new(tokio::spawn(async { run.await.unwrap() }))
    }

    /// Does `statements` in Postgres, beside the cable.
    pub(crate) async fn sql(&self, statements: &str) {
        let psql = self.tools.postgres_bin().unwrap().join("psql");
        let arguments = ["-q", "-v", "ON_ERROR_STOP=1", "-c", statements];
        let output = Command::new(psql).arg(self.postgres.url_of(DATABASE)).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes the store what it was when it was stored up to `seq` only, as far as events and members of later positions
    /// go: what a backup of that time looks like once it is restored. Those who were removed since are not members again.
    pub(crate) async fn go_back_to(&self, seq: Seq) {
        let back = format!(
            "BEGIN;
             UPDATE log_progress SET seq = {seq} WHERE seq > {seq};
             DELETE FROM events WHERE seq > {seq};
             DELETE FROM members WHERE since_seq > {seq};
             COMMIT"
        );
        self.sql(&back).await;
    }

    /// Appends to the log; returns the position.
    pub(crate) async fn append(&self, event: NewEvent) -> Seq {
        let pending = self.log.publish(event, Condition::None).await.unwrap();
        pending.await.unwrap().seq
    }
}

fn auth() -> VerifierOptions {
    VerifierOptions {
        secret: Some(SECRET.to_owned()),
        service_token: Some(SERVICE_TOKEN.to_owned()),
        leeway: Duration::ZERO,
        ..VerifierOptions::default()
    }
}

/// The id of every token of `user`.
fn jti(user: &str) -> String {
    format!("a-token-of-{user}")
}

/// A token of `user` for the next hour.
pub(crate) fn token(user: &str) -> String {
    token_from(user, SystemTime::now(), Duration::from_hours(1))
}

/// A token of `user` that has expired.
pub(crate) fn expired_token(user: &str) -> String {
    token_from(user, SystemTime::now() - Duration::from_hours(2), Duration::from_hours(1))
}

/// A token of `user`, valid from `now` for `ttl`.
pub(crate) fn token_from(user: &str, now: SystemTime, ttl: Duration) -> String {
    let minter = Minter::new(auth()).unwrap();
    minter.mint_revocable(&jti(user), &UserId::parse(user).unwrap(), None, ttl, now).unwrap()
}

/// A request with `token`.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A request with the service token.
pub(crate) fn as_service<T>(message: T) -> Request<T> {
    with(SERVICE_TOKEN, message)
}

/// A request with the service token and a deadline.
pub(crate) fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = as_service(message);
    request.set_timeout(timeout);
    request
}

pub(crate) async fn connect(address: std::net::SocketAddr) -> Channel {
    eventually("the service listens", async || TcpStream::connect(address).await.is_ok()).await;
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn event(team: &str, sender: &str, client_id: &str, kind: EventKind) -> NewEvent {
    NewEvent {
        team: TeamId::parse(team).unwrap(),
        sender: UserId::parse(sender).unwrap(),
        client_id: ClientId::parse(client_id).unwrap(),
        kind,
    }
}
