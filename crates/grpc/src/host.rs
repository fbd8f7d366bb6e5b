//! A gRPC service from its parts to its end: what history and directory do alike, around methods that are their own.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use huddle_auth::Verifier;
use huddle_log::Log;
use huddle_service::{
    health::{ComponentState, Readiness},
    lifecycle::Shutdown,
    metrics::Metrics,
};
use huddle_store::{DirectoryStore, EventStore, PartitionStore};
use tonic::{
    body::Body,
    codegen::{
        Service,
        http::{Request, Response},
    },
    server::NamedService,
    service::{Routes, RoutesBuilder},
};

use crate::{
    BindError, MemoryIncoming, ServeError, Stored,
    server::{Health, Limits, Listener, reflection, serve},
};

/// What a service is made of. The three stores are one store, seen from three sides.
#[derive(Debug)]
pub struct Parts<C> {
    /// How it listens and what it bounds.
    pub config: C,
    /// Tells what is live and how far partitions are stored; takes changes.
    pub log: Arc<dyn Log>,
    /// Events and messages.
    pub events: Arc<dyn EventStore>,
    /// Teams and members.
    pub directory: Arc<dyn DirectoryStore>,
    /// How far partitions are stored; asked for health too.
    pub partitions: Arc<dyn PartitionStore>,
    /// Judges tokens.
    pub verifier: Arc<Verifier>,
    /// Where the service registers its metrics.
    pub metrics: Metrics,
    /// Where the service reports, as the component of its name.
    pub readiness: Readiness,
    /// Connections from within the process, served beside those of the network.
    pub memory: Option<MemoryIncoming>,
}

/// What a service is called.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The service itself, as a component of the readiness and in the log output: `history`.
    pub component: &'static str,
    /// The setting that holds its address: `history.listen`.
    pub setting: &'static str,
    /// Its full name in gRPC: `huddle.history.v1.HistoryService`.
    pub grpc: &'static str,
}

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The descriptors built into this program are broken.
    #[error("the service's descriptors cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A bound service. Callers can connect and are answered once [`run`](Self::run) runs.
#[derive(Debug)]
pub struct Host {
    names: Names,
    listener: Listener,
    memory: Option<MemoryIncoming>,
    routes: RoutesBuilder,
    component: ComponentState,
    stored: Arc<Stored>,
    partitions: Arc<dyn PartitionStore>,
}

impl Host {
    /// Takes `address` and the connections in `parts.memory`. The service counts as not ready until it runs and has seen
    /// its store.
    pub async fn bind<C>(names: Names, address: SocketAddr, parts: &mut Parts<C>) -> Result<Self, StartError> {
        let listener = Listener::bind(names.setting, address).await?;
        let mut routes = Routes::builder();
        reflection(&mut routes, names.grpc)?;
        Ok(Self {
            names,
            listener,
            memory: parts.memory.take(),
            routes,
            component: parts.readiness.component(names.component),
            stored: Arc::new(Stored::new(Arc::clone(&parts.log), Arc::clone(&parts.partitions))),
            partitions: Arc::clone(&parts.partitions),
        })
    }

    /// The address that was taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// How far everything is stored; followed while the service runs.
    pub fn stored(&self) -> Arc<Stored> {
        Arc::clone(&self.stored)
    }

    /// Serves `service`, health and reflection until the soft stage of the shutdown, then finishes the calls under way,
    /// and returns: at the hard stage at the latest. One connection may have `calls_per_connection_max` calls under way,
    /// at least 1.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; open connections are left to the runtime.
    pub async fn run<S>(
        self,
        service: S,
        calls_per_connection_max: usize,
        shutdown: &Shutdown,
    ) -> Result<(), ServeError>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let Self { names, listener, memory, mut routes, component, stored, partitions } = self;
        routes.add_service(service);
        let health = Health::add(&mut routes, names.grpc, partitions, component).await;
        let limits = Limits { calls_per_connection_max: calls_per_connection_max.max(1) };
        tracing::info!(address = %listener.local_addr(), "{} listens", names.component);
        let follow = async {
            tokio::join!(stored.follow(shutdown), health.follow(shutdown));
            Ok(())
        };
        tokio::try_join!(serve(listener, memory, routes.routes(), limits, shutdown), follow).map(|_| ())
    }
}
