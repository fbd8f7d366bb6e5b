//! What every service process does around its service: logging, health, metrics, backends, and an orderly end.

use std::{convert::Infallible, error::Error as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::anyhow;
use huddle_auth::{JTI_BYTES_MAX, Revocations, Verifier};
use huddle_bus::Bus;
use huddle_log::{Log, LogError};
use huddle_log_nats::{NatsBus, NatsLog};
use huddle_service::{
    admin::{AdminConfig, AdminServer},
    backoff::Backoff,
    health::Readiness,
    lifecycle::{Lifecycle, Shutdown},
    metrics::Metrics,
    revoked::{self, RevokedFile},
};
use huddle_store::{PartitionStore as _, StoreError};
use huddle_store_postgres::PostgresStore;
use tokio::time::{Instant, sleep};

use crate::{
    config::{Config, ConfigArgs},
    failure::Failure,
};

/// How long a backend that cannot be reached is tried before the process gives up.
const BACKEND_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bounds the first wait between two tries, and every one.
const BACKEND_RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

// What a list may hold and what a token may have must be the same, or some token could not be revoked.
const _: () = assert!(revoked::ID_BYTES_MAX == JTI_BYTES_MAX);

/// A service process that has its configuration and answers for its health, and whose service is still to come.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) config: Config,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
}

impl Process {
    /// Reads the configuration, sets up logging and opens the admin endpoint at the address that `admin` picks; `setting`
    /// is its key. The process is not ready before its `components` say so. `drain_timeout` is how long the service may
    /// take to finish its work.
    pub(crate) async fn start(
        args: &ConfigArgs,
        setting: &str,
        admin: impl Fn(&Config) -> SocketAddr,
        components: &[&'static str],
        drain_timeout: impl Fn(&Config) -> Duration,
    ) -> Result<Self, Failure> {
        let config = args.load_for_service()?;
        let (listen, drain_timeout) = (admin(&config), drain_timeout(&config));
        let process = Self::new(config, components, drain_timeout);
        process.serve_admin(setting, listen).await?;
        Ok(process)
    }

    /// As [`start`](Self::start), with a configuration that is there already and without the admin endpoint.
    pub(crate) fn new(config: Config, components: &[&'static str], drain_timeout: Duration) -> Self {
        let lifecycle = Lifecycle::new(drain_timeout);
        let readiness = Readiness::new(lifecycle.shutdown());
        for component in components {
            readiness.component(component);
        }
        Self { config, lifecycle, readiness, metrics: Metrics::new() }
    }

    /// Opens the admin endpoint at `listen`, which is the setting `setting`. Returns its address, with its real port.
    pub(crate) async fn serve_admin(&self, setting: &str, listen: SocketAddr) -> anyhow::Result<SocketAddr> {
        let server = AdminServer::bind(&AdminConfig { listen }, self.readiness.clone(), self.metrics.clone()).await;
        let server = server.map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            anyhow!("the admin endpoint cannot listen on {listen}: {cause}; set `{setting}` to a free address (port 0 takes any)")
        })?;
        let address = server.local_addr();
        tracing::info!(%address, "admin endpoint listens");
        self.lifecycle.spawn_background("admin", server.serve(self.lifecycle.shutdown()));
        Ok(address)
    }

    /// What tells good tokens from others, for a service that lets users in. To be called once: from then on the process
    /// follows the list of revoked tokens.
    pub(crate) async fn verifier(&self) -> Result<Arc<Verifier>, Failure> {
        let verifier = Verifier::new(self.config.auth.verifier_options()).map_err(Failure::usage)?;
        let Some(path) = self.config.auth.revoked_file.clone() else { return Ok(Arc::new(verifier)) };
        let revocations = Revocations::default();
        let list = revocations.clone();
        let file = RevokedFile::open(path, move |ids| list.replace(ids), &self.metrics).await;
        let file = file.map_err(|error| Failure::usage(anyhow!("`auth.revoked_file`: {error}")))?;
        tracing::info!(tokens = revocations.len(), "list of revoked tokens read");
        let shutdown = self.shutdown();
        self.lifecycle.spawn_background("revoked tokens", async move {
            file.follow(shutdown).await;
            Ok::<_, Infallible>(())
        });
        Ok(Arc::new(verifier.with_revocations(revocations)))
    }

    pub(crate) fn shutdown(&self) -> Shutdown {
        self.lifecycle.shutdown()
    }

    /// Connects to the log, trying for some time. A log that is unfit is a failure; one that is not prepared yet is not:
    /// the service's readiness follows it.
    pub(crate) async fn log(&self) -> Result<Arc<dyn Log>, Failure> {
        let log = connect_log(&self.config).await?;
        match log.check().await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => tracing::warn!(%error, "the log is not ready yet"),
            Err(error) => return Err(log_failure(&self.config, error)),
        }
        Ok(log)
    }

    /// Connects to the bus, which is where the log is, trying for some time.
    pub(crate) async fn bus(&self) -> Result<Arc<dyn Bus>, Failure> {
        let log = &self.config.log;
        let outcome = retrying("bus", LogError::is_retryable, async || NatsBus::connect(log).await).await;
        Ok(Arc::new(outcome.map_err(|error| log_failure(&self.config, error))?))
    }

    /// Connects to the store, trying for some time.
    pub(crate) async fn store(&self) -> Result<Arc<PostgresStore>, Failure> {
        connect_store(&self.config).await
    }

    /// As [`store`](Self::store), for a service that answers calls within `call_time_max`: Postgres does not work for
    /// longer on what a call asks, so that nothing goes on for callers who have gone.
    pub(crate) async fn store_for_calls(&self, call_time_max: Duration) -> Result<Arc<PostgresStore>, Failure> {
        let mut config = self.config.clone();
        config.store.statement_timeout = config.store.statement_timeout.min(call_time_max);
        connect_store(&config).await
    }

    /// Runs until a signal or the failure of a task.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.lifecycle.run_until_signal().await.map_err(Failure::failed)
    }
}

pub(crate) async fn connect_log(config: &Config) -> Result<Arc<dyn Log>, Failure> {
    let outcome = retrying("log", LogError::is_retryable, async || NatsLog::connect(config.log.clone()).await).await;
    Ok(Arc::new(outcome.map_err(|error| log_failure(config, error))?))
}

pub(crate) async fn connect_store(config: &Config) -> Result<Arc<PostgresStore>, Failure> {
    let outcome =
        retrying("store", StoreError::is_retryable, async || PostgresStore::connect(&config.store).await).await;
    Ok(Arc::new(outcome.map_err(store_failure)?))
}

/// Makes sure that every partition of the log exists and goes on above what is stored.
pub(crate) async fn prepare_log(config: &Config, log: &Arc<dyn Log>, store: &PostgresStore) -> Result<(), Failure> {
    for partition in log.partitions().iter() {
        let progress = retrying("store", StoreError::is_retryable, async || store.progress(partition).await).await;
        let progress = progress.map_err(store_failure)?;
        let prepared = retrying("log", LogError::is_retryable, async || log.prepare(partition, progress).await).await;
        prepared.map_err(|error| log_failure(config, error))?;
    }
    Ok(())
}

fn log_failure(config: &Config, error: LogError) -> Failure {
    match error {
        LogError::Unavailable { .. } => {
            let servers: Vec<&str> = config.log.servers.iter().map(|server| without_credentials(server)).collect();
            let advice =
                format!("check that nats-server runs and that `log.servers` names it ({})", servers.join(", "));
            Failure::with_advice(error, advice)
        }
        LogError::Missing { .. } | LogError::Unsuitable { .. } => Failure::failed(error),
    }
}

/// The part of a server's address that may be shown.
fn without_credentials(server: &str) -> &str {
    server.rsplit_once('@').map_or(server, |(_, host)| host)
}

pub(crate) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable { .. } => {
            Failure::with_advice(error, "check that Postgres runs and that `store.url` names it")
        }
        StoreError::Behind { .. }
        | StoreError::NotOwner
        | StoreError::Unsuitable { .. }
        | StoreError::Broken { .. } => Failure::failed(error),
    }
}

/// Tries `attempt` until it succeeds, fails for good, or the time is over.
async fn retrying<T, E: std::error::Error>(
    backend: &'static str,
    is_retryable: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + BACKEND_WAIT_MAX;
    let mut backoff = Backoff::new(BACKEND_RETRY.0, BACKEND_RETRY.1);
    loop {
        match attempt().await {
            Err(error) if is_retryable(&error) && Instant::now() < deadline => {
                tracing::warn!(backend, %error, "backend not ready, trying again");
                sleep(backoff.next_delay(&mut rand::rng())).await;
            }
            outcome => return outcome,
        }
    }
}
