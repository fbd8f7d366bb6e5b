//! Puts the service together, binds it and runs it.

use std::{net::SocketAddr, sync::Arc};

use huddle_auth::Verifier;
use huddle_grpc::{BindError, Health, Limits, Listener, MESSAGE_BYTES_MAX, ServeError, Stored, reflection, serve};
use huddle_log::Log;
use huddle_proto::history::v1::history_service_server::{HistoryServiceServer, SERVICE_NAME};
use huddle_service::{
    health::{ComponentState, Readiness},
    lifecycle::Shutdown,
    metrics::Metrics,
};
use huddle_store::{DirectoryStore, EventStore, PartitionStore};
use tokio::sync::Semaphore;
use tonic::service::{Routes, RoutesBuilder};

use crate::{Config, metrics::HistoryMetrics, reader::Reader, service::Service};

/// What the service is made of. The three stores are one store, seen from three sides.
#[derive(Debug)]
pub struct Parts {
    /// How it listens.
    pub config: Config,
    /// Tells what is live and how far partitions are stored.
    pub log: Arc<dyn Log>,
    /// Events and messages.
    pub events: Arc<dyn EventStore>,
    /// Who is a member of what.
    pub directory: Arc<dyn DirectoryStore>,
    /// How far partitions are stored; asked for health too.
    pub partitions: Arc<dyn PartitionStore>,
    /// Judges tokens.
    pub verifier: Arc<Verifier>,
    /// Where the service registers its metrics.
    pub metrics: Metrics,
    /// Where the service reports as the component `history`.
    pub readiness: Readiness,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The descriptors built into this program are broken.
    #[error("the service's descriptors cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A bound history service. Callers can connect and are answered once [`run`](Self::run) runs.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    routes: RoutesBuilder,
    component: ComponentState,
    parts: Parts,
}

impl Server {
    /// Takes the address. The service counts as not ready until it runs and has seen its store.
    pub async fn bind(parts: Parts) -> Result<Self, StartError> {
        let listener = Listener::bind("history.listen", parts.config.listen).await?;
        let mut routes = Routes::builder();
        reflection(&mut routes, SERVICE_NAME)?;
        let component = parts.readiness.component("history");
        Ok(Self { listener, routes, component, parts })
    }

    /// The address that was taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until the soft stage of the shutdown, then ends live streams with `UNAVAILABLE`, finishes the calls under
    /// way, and returns: at the hard stage at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; open connections are left to the runtime.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self { listener, mut routes, component, parts } = self;
        let stored = Arc::new(Stored::new(Arc::clone(&parts.log), Arc::clone(&parts.partitions)));
        let reader = Arc::new(Reader {
            log: parts.log,
            events: parts.events,
            directory: parts.directory,
            stored: Arc::clone(&stored),
            verifier: parts.verifier,
            metrics: HistoryMetrics::register(&parts.metrics),
            streams: Arc::new(Semaphore::new(parts.config.streams_max.min(Semaphore::MAX_PERMITS))),
            shutdown: shutdown.clone(),
        });
        routes.add_service(
            HistoryServiceServer::new(Service { reader })
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        );
        let health = Health::add(&mut routes, SERVICE_NAME, parts.partitions, component).await;
        let limits = Limits { calls_per_connection_max: parts.config.calls_per_connection_max.max(1) };
        tracing::info!(address = %listener.local_addr(), "history listens");
        let follow = async {
            tokio::join!(stored.follow(&shutdown), health.follow(&shutdown));
            Ok(())
        };
        tokio::try_join!(serve(listener, routes.routes(), limits, &shutdown), follow).map(|_| ())
    }
}
