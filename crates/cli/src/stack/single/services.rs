//! The four services of one process: bound to their addresses, tied to each other in memory, ended in order.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::Result;
use huddle_auth::Verifier;
use huddle_bus::LocalBus;
use huddle_embedded::Embedded;
use huddle_gateway::Upstream;
use huddle_grpc::{MemoryIncoming, memory};
use huddle_persistence::Persistence;
use huddle_service::lifecycle::Shutdown;
use tonic::transport::Channel;

use super::addresses::{Fixed, Ports, Wish};
use crate::{
    process::Process,
    stack::demo::{self, DemoTeam},
};

/// The services, bound and not running yet.
pub(super) struct Services {
    gateway: huddle_gateway::Server,
    history: huddle_history::Server,
    directory: huddle_directory::Server,
    persistence: Persistence,
    directory_channel: Channel,
    admin: SocketAddr,
}

impl Services {
    /// Makes the services over `embedded` and takes their addresses.
    pub(super) async fn bind(
        process: &Process,
        embedded: &Arc<Embedded>,
        verifier: &Arc<Verifier>,
        fixed: &Fixed,
        last: &Ports,
        service_token: &str,
        team: DemoTeam,
    ) -> Result<Self> {
        let config = &process.config;
        let wish = Wish::new(config.admin.gateway, fixed.contains("admin.gateway"), last.admin);
        let admin = wish.bind(async |listen| process.serve_admin("admin.gateway", listen).await).await?;

        let wish = Wish::new(config.history.listen, fixed.contains("history.listen"), last.history);
        let bind = async |listen| {
            let (connector, incoming) = memory();
            let config = huddle_history::Config { listen, ..config.history.clone() };
            let server = huddle_history::Server::bind(parts(process, embedded, verifier, config, incoming)).await?;
            Ok::<_, huddle_history::StartError>((server, connector.channel()))
        };
        let (history, history_channel) = wish.bind(bind).await?;

        let wish = Wish::new(config.directory.listen, fixed.contains("directory.listen"), last.directory);
        let bind = async |listen| {
            let (connector, incoming) = memory();
            let config = huddle_directory::Config { listen, ..config.directory.clone() };
            let server = huddle_directory::Server::bind(parts(process, embedded, verifier, config, incoming)).await?;
            Ok::<_, huddle_directory::StartError>((server, connector.channel()))
        };
        let (directory, directory_channel) = wish.bind(bind).await?;

        let wish = Wish::new(config.gateway.listen, fixed.contains("gateway.listen"), last.gateway);
        let bind = async |listen| {
            huddle_gateway::bind(huddle_gateway::Parts {
                config: huddle_gateway::Config { listen, ..config.gateway.clone() },
                log: embedded.clone(),
                bus: Arc::new(LocalBus::new()),
                verifier: Arc::clone(verifier),
                upstream: Upstream::Channels { history: history_channel.clone(), directory: directory_channel.clone() },
                service_token: service_token.to_owned(),
                metrics: process.metrics.clone(),
                readiness: process.readiness.clone(),
                demo: match team {
                    DemoTeam::SignIn => Some(demo::demo(config.auth.verifier_options())?),
                    DemoTeam::Told | DemoTeam::None => None,
                },
            })
            .await
            .map_err(anyhow::Error::from)
        };
        let gateway = wish.bind(bind).await?;

        let persistence = Persistence::new(huddle_persistence::Parts {
            config: config.persistence.clone(),
            log: embedded.clone(),
            store: embedded.clone(),
            metrics: &process.metrics,
            readiness: &process.readiness,
        });
        Ok(Self { gateway, history, directory, persistence, directory_channel, admin })
    }

    /// Where the gateway listens.
    pub(super) fn gateway(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    /// Where history listens.
    pub(super) const fn history(&self) -> SocketAddr {
        self.history.local_addr()
    }

    /// Where the directory listens.
    pub(super) const fn directory(&self) -> SocketAddr {
        self.directory.local_addr()
    }

    /// Where the process answers for its health.
    pub(super) const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The way to the directory within the process.
    pub(super) fn directory_channel(&self) -> Channel {
        self.directory_channel.clone()
    }

    /// Runs all of them as tasks of `process`. When it shuts down, nobody loses one that it needs: the gateway ends first,
    /// then history and the directory, then persistence.
    pub(super) fn spawn(self, process: &Process) {
        let Self { gateway, history, directory, persistence, .. } = self;
        let (first, reads, writes) = (process.shutdown(), Shutdown::new(), Shutdown::new());
        let lifecycle = &process.lifecycle;

        let after_gateway = reads.soft().clone().drop_guard();
        let serving = gateway.run(first.clone());
        lifecycle.spawn("gateway", async move {
            let outcome = serving.await;
            drop(after_gateway);
            outcome
        });
        let after_reads = Arc::new(writes.soft().clone().drop_guard());
        let (serving, guard) = (history.run(reads.clone()), Arc::clone(&after_reads));
        lifecycle.spawn("history", async move {
            let outcome = serving.await;
            drop(guard);
            outcome
        });
        let serving = directory.run(reads.clone());
        lifecycle.spawn("directory", async move {
            let outcome = serving.await;
            drop(after_reads);
            outcome
        });
        lifecycle.spawn("persistence", persistence.run(writes.clone()));
        lifecycle.spawn_background("end", async move {
            first.hard().cancelled().await;
            for stage in [reads, writes] {
                stage.request();
                stage.hard().cancel();
            }
            Ok::<_, Infallible>(())
        });
    }
}

fn parts<C>(
    process: &Process,
    embedded: &Arc<Embedded>,
    verifier: &Arc<Verifier>,
    config: C,
    incoming: MemoryIncoming,
) -> huddle_grpc::Parts<C> {
    huddle_grpc::Parts {
        config,
        log: embedded.clone(),
        events: embedded.clone(),
        directory: embedded.clone(),
        partitions: embedded.clone(),
        verifier: Arc::clone(verifier),
        metrics: process.metrics.clone(),
        readiness: process.readiness.clone(),
        memory: Some(incoming),
    }
}
