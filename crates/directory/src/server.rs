//! Puts the service together, binds it and runs it.

use std::net::SocketAddr;

use huddle_grpc::{CallMetrics, Host, MESSAGE_BYTES_MAX, Names, ServeError, StartError};
use huddle_proto::directory::v1::directory_service_server::{DirectoryServiceServer, SERVICE_NAME};
use huddle_service::lifecycle::Shutdown;

use crate::{Config, directory::Directory, service::Service, turns::Turns};

const NAMES: Names = Names { component: "directory", setting: "directory.listen", grpc: SERVICE_NAME };

/// What the service is made of. It reports as the component `directory`.
pub type Parts = huddle_grpc::Parts<Config>;

/// A bound directory service. Callers can connect and are answered once [`run`](Self::run) runs.
#[derive(Debug)]
pub struct Server {
    host: Host,
    parts: Parts,
}

impl Server {
    /// Takes the address. The service counts as not ready until it runs and has seen its store.
    pub async fn bind(mut parts: Parts) -> Result<Self, StartError> {
        let host = Host::bind(NAMES, parts.config.listen, &mut parts).await?;
        Ok(Self { host, parts })
    }

    /// The address that was taken, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.host.local_addr()
    }

    /// Serves until the soft stage of the shutdown, then finishes the calls under way and returns: at the hard stage at
    /// the latest.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; open connections are left to the runtime.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self { host, parts } = self;
        let directory = Directory {
            log: parts.log,
            events: parts.events,
            teams: parts.directory,
            stored: host.stored(),
            verifier: parts.verifier,
            calls: CallMetrics::register(&parts.metrics, "directory"),
            turns: Turns::new(),
        };
        let service = DirectoryServiceServer::new(Service { directory })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        host.run(service, parts.config.calls_per_connection_max, &shutdown).await
    }
}
