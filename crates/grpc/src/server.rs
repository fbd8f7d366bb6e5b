//! The listener of a gRPC service: its limits, its health, and its end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use huddle_proto::DESCRIPTORS;
use huddle_service::{health::ComponentState, lifecycle::Shutdown};
use huddle_store::{PartitionStore, StoreError};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::MemoryIncoming;

/// Largest message in either direction, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// HTTP/2 streams open at once on one connection, waiting calls and live streams together.
const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// A quiet connection is asked for a sign of life this often, ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// ... and closed when none comes within this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections that stay open (an idle reflection stream, a reader that does not read) hold up the end.
const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// How often the store is looked at for health and readiness, ...
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// ... and how long it may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A bound address that is not served yet.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; set `{setting}` to a free address (port 0 takes any)")]
pub struct BindError {
    setting: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Serving ended with a failure.
#[derive(Debug, thiserror::Error)]
#[error("serving gRPC failed")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Calls under way at once on one connection; more are refused with RESOURCE_EXHAUSTED.
    pub(crate) calls_per_connection_max: usize,
}

impl Listener {
    /// Takes `address`, which `setting` configures.
    pub(crate) async fn bind(setting: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { setting, address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that was taken, with its real port.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Adds gRPC reflection, v1 and v1alpha, for `service`.
pub(crate) fn reflection(
    routes: &mut RoutesBuilder,
    service: &'static str,
) -> Result<(), tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .with_service_name(service)
    };
    routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    Ok(())
}

/// The health of a service, as gRPC health checks and the process's readiness show it: that of the store, which every
/// call needs.
#[derive(Debug)]
pub(crate) struct Health {
    reporter: HealthReporter,
    service: &'static str,
    store: Arc<dyn PartitionStore>,
    component: ComponentState,
}

impl Health {
    /// Adds the health service to `routes`. `service` is not serving before [`follow`](Self::follow) has seen `store`.
    pub(crate) async fn add(
        routes: &mut RoutesBuilder,
        service: &'static str,
        store: Arc<dyn PartitionStore>,
        component: ComponentState,
    ) -> Self {
        let (reporter, server) = tonic_health::server::health_reporter();
        routes.add_service(server);
        let health = Self { reporter, service, store, component };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// Looks at the store again and again until the soft stage of the shutdown; then says that this server is not
    /// serving and ends all watches.
    pub(crate) async fn follow(mut self, shutdown: &Shutdown) {
        let looks = async {
            loop {
                match timeout(CHECK_TIMEOUT, self.store.check()).await {
                    Ok(Ok(())) => {
                        self.component.set_ready();
                        self.set(ServingStatus::Serving).await;
                    }
                    Ok(Err(StoreError::Unsuitable { problem, remedy })) => {
                        self.fail(format!("the store is not fit for use: {problem}; {remedy}")).await;
                    }
                    Ok(Err(error)) => self.fail(error.to_string()).await,
                    Err(_) => self.fail("the store does not answer".to_owned()).await,
                }
                sleep(CHECK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = shutdown.soft().cancelled() => {}
            () = looks => {}
        }
        self.set(ServingStatus::NotServing).await;
        for service in ["", self.service] {
            self.reporter.clear_service_status(service).await;
        }
    }

    async fn fail(&self, reason: String) {
        self.component.set_not_ready(reason);
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        // The empty name stands for the server as a whole.
        for service in ["", self.service] {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// Serves `routes` to the network, and to the process itself through `memory`, until the soft stage of the shutdown; then
/// finishes the calls under way: until the hard stage, and 5 s at most.
pub(crate) async fn serve(
    listener: Listener,
    memory: Option<MemoryIncoming>,
    routes: Routes,
    limits: Limits,
    shutdown: &Shutdown,
) -> Result<(), ServeError> {
    let builder = || {
        Server::builder()
            .load_shed(true)
            .concurrency_limit_per_connection(limits.calls_per_connection_max)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
    };
    let end = || shutdown.soft().clone().cancelled_owned();
    let within = async {
        let Some(memory) = memory else { return Ok(()) };
        builder().add_routes(routes.clone()).serve_with_incoming_shutdown(memory, end()).await
    };
    let incoming = TcpIncoming::from(listener.listener).with_nodelay(Some(true));
    let serving = builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(incoming, end());
    let drained = async {
        shutdown.soft().cancelled().await;
        tokio::select! {
            () = shutdown.hard().cancelled() => {}
            () = sleep(DRAIN_WAIT) => {}
        }
    };
    tokio::select! {
        served = async { tokio::try_join!(serving, within) } => Ok(served.map(drop)?),
        () = drained => {
            tracing::info!(address = %listener.address, "connections left open at the end of the drain");
            Ok(())
        }
    }
}
