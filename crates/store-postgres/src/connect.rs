//! Owns how connections are made: the settings of each session, and the bounds of waiting for one.

use std::{future::Future, str::FromStr as _, time::Duration};

use huddle_store::StoreError;
use sqlx::{
    ConnectOptions as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{
    Config,
    error::{TimedOut, store_error, unavailable},
};

/// How long a session may stand idle inside a transaction before Postgres ends it, and with it the row locks that it
/// holds: a paused process must not hold up the others.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(10);

/// How much longer than Postgres itself a caller waits for the answer to a statement. Beyond it, the server is taken
/// for unreachable.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// Makes the connections of one store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    // Not printable: the options hold the password, which their own `Debug` shows.
    options: Options,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    max_connections: u32,
}

#[derive(Clone)]
struct Options(PgConnectOptions);

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("host", &self.0.get_host()).field("port", &self.0.get_port()).finish()
    }
}

impl Connector {
    pub(crate) fn new(config: &Config) -> Result<Self, StoreError> {
        config.validate()?;
        let options = PgConnectOptions::from_str(config.url.expose()).map_err(|_| StoreError::Unsuitable {
            // The parser's own words may repeat a part of the URL.
            problem: "the configured URL is not one of Postgres".to_owned(),
            remedy: "write it as postgres://user:password@host:port/database".to_owned(),
        })?;
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let options = options.options([
            // A client that is gone frees its locks in seconds, in the middle of a statement, too.
            ("tcp_keepalives_idle", "2".to_owned()),
            ("tcp_keepalives_interval", "1".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", "5000".to_owned()),
            ("client_connection_check_interval", "1000".to_owned()),
            ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION_MAX)),
            ("statement_timeout", milliseconds(config.statement_timeout)),
        ]);
        Ok(Self {
            options: Options(options),
            acquire_timeout: config.acquire_timeout,
            statement_timeout: config.statement_timeout,
            max_connections: config.max_connections,
        })
    }

    /// The connections that reads share; none is made before it is needed.
    pub(crate) fn pool(&self) -> PgPool {
        let options = self.options.0.clone().application_name("huddle");
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .connect_lazy_with(options)
    }

    /// A connection of the caller's own, named in `pg_stat_activity`.
    pub(crate) async fn connect(&self, name: &str, context: &'static str) -> Result<PgConnection, StoreError> {
        self.open(self.options.0.clone().application_name(name), context).await
    }

    /// A connection whose statements may take any time.
    pub(crate) async fn connect_unlimited(&self, context: &'static str) -> Result<PgConnection, StoreError> {
        let options = self.options.0.clone().application_name("huddle migrate").options([("statement_timeout", "0")]);
        self.open(options, context).await
    }

    /// Bounds an exchange of `statements` statements with the server.
    pub(crate) async fn bounded<T>(
        &self,
        statements: u32,
        context: &'static str,
        exchange: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let bound = self.statement_timeout * statements + ANSWER_GRACE;
        timeout(bound, exchange).await.unwrap_or_else(|_| Err(unavailable(context, TimedOut(bound))))
    }

    /// Bounds one statement over the shared connections, and says what its failure means.
    pub(crate) async fn read<T>(
        &self,
        context: &'static str,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let bound = self.acquire_timeout + self.statement_timeout + ANSWER_GRACE;
        match timeout(bound, statement).await {
            Ok(outcome) => outcome.map_err(|error| store_error(context, error)),
            Err(_) => Err(unavailable(context, TimedOut(bound))),
        }
    }

    async fn open(&self, options: PgConnectOptions, context: &'static str) -> Result<PgConnection, StoreError> {
        match timeout(self.acquire_timeout, options.connect()).await {
            Ok(outcome) => outcome.map_err(|error| store_error(context, error)),
            Err(_) => Err(unavailable(context, TimedOut(self.acquire_timeout))),
        }
    }
}
