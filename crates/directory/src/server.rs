//! Puts the service together, binds it and runs it.

use std::{net::SocketAddr, sync::Arc};

use huddle_auth::Verifier;
use huddle_grpc::{
    BindError, CallMetrics, Health, Limits, Listener, MESSAGE_BYTES_MAX, ServeError, Stored, reflection, serve,
};
use huddle_log::Log;
use huddle_proto::directory::v1::directory_service_server::{DirectoryServiceServer, SERVICE_NAME};
use huddle_service::{
    health::{ComponentState, Readiness},
    lifecycle::Shutdown,
    metrics::Metrics,
};
use huddle_store::{DirectoryStore, EventStore, PartitionStore};
use tonic::service::{Routes, RoutesBuilder};

use crate::{Config, directory::Directory, service::Service, turns::Turns};

/// What the service is made of. The three stores are one store, seen from three sides.
#[derive(Debug)]
pub struct Parts {
    /// How it listens.
    pub config: Config,
    /// Takes the changes, and tells how far partitions are stored.
    pub log: Arc<dyn Log>,
    /// Finds the events of earlier calls.
    pub events: Arc<dyn EventStore>,
    /// Teams and members.
    pub directory: Arc<dyn DirectoryStore>,
    /// How far partitions are stored; asked for health too.
    pub partitions: Arc<dyn PartitionStore>,
    /// Judges tokens.
    pub verifier: Arc<Verifier>,
    /// Where the service registers its metrics.
    pub metrics: Metrics,
    /// Where the service reports as the component `directory`.
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

/// A bound directory service. Callers can connect and are answered once [`run`](Self::run) runs.
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
        let listener = Listener::bind("directory.listen", parts.config.listen).await?;
        let mut routes = Routes::builder();
        reflection(&mut routes, SERVICE_NAME)?;
        let component = parts.readiness.component("directory");
        Ok(Self { listener, routes, component, parts })
    }

    /// The address that was taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until the soft stage of the shutdown, then finishes the calls under way and returns: at the hard stage at
    /// the latest.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; open connections are left to the runtime.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self { listener, mut routes, component, parts } = self;
        let stored = Arc::new(Stored::new(Arc::clone(&parts.log), Arc::clone(&parts.partitions)));
        let directory = Directory {
            log: parts.log,
            events: parts.events,
            teams: parts.directory,
            stored: Arc::clone(&stored),
            verifier: parts.verifier,
            calls: CallMetrics::register(&parts.metrics, "directory"),
            turns: Turns::new(),
        };
        routes.add_service(
            DirectoryServiceServer::new(Service { directory })
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        );
        let health = Health::add(&mut routes, SERVICE_NAME, parts.partitions, component).await;
        let limits = Limits { calls_per_connection_max: parts.config.calls_per_connection_max.max(1) };
        tracing::info!(address = %listener.local_addr(), "directory listens");
        let follow = async {
            tokio::join!(stored.follow(&shutdown), health.follow(&shutdown));
            Ok(())
        };
        tokio::try_join!(serve(listener, routes.routes(), limits, &shutdown), follow).map(|_| ())
    }
}
