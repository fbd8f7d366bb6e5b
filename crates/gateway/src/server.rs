//! The gateway as a whole: binds, serves, drains.

use std::{io, net::SocketAddr, num::NonZeroUsize, rc::Rc, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, middleware::from_fn, rt::net::TcpStream, web};
use huddle_auth::Verifier;
use huddle_bus::Bus;
use huddle_log::Log;
use huddle_service::{health::Readiness, lifecycle::Shutdown, metrics::Metrics};
use huddle_socketio::SocketIoMetrics;
use tonic::transport::Channel;

use crate::{
    Config, ConfigError,
    core::Core,
    ending::{self, Ending},
    labellab::{self, LabelLab},
    listening::listen_on,
    memberships::Memberships,
    metrics::GatewayMetrics,
    names::Names,
    native, origins,
    page::{self, Demo, Page},
    relay::Sources,
    rest,
    sockets::{self, Sockets},
    upstream::{self, Channels, Directory, History, ServiceToken},
    watch::{Watch, count_losses, follow_watermarks},
    worker::Worker,
};

/// How long a peer may leave sent bytes unacknowledged, or its window closed, before the kernel ends the connection:
/// this is what frees the socket of a reader that has stopped reading.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request's head may take.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// What a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The way to other gateways.
    pub bus: Arc<dyn Bus>,
    /// Tells who a token belongs to.
    pub verifier: Arc<Verifier>,
    /// History and the directory.
    pub upstream: Upstream,
    /// The token with which the gateway asks history and directory.
    pub service_token: String,
    /// Where its metrics go.
    pub metrics: Metrics,
    /// Where its readiness goes.
    pub readiness: Readiness,
    /// Whom the page at `/` offers to be; `None` wherever others than the developer may come.
    pub demo: Option<Demo>,
}

/// How the gateway reaches history and the directory.
#[derive(Debug)]
pub enum Upstream {
    /// At the addresses in the settings. The gateway reports as the components `history` and `directory` whether they
    /// answer.
    Urls,
    /// Over channels to services of the same process, which report for themselves. The addresses in the settings are
    /// not used.
    Channels {
        /// To history.
        history: Channel,
        /// To the directory.
        directory: Channel,
    },
}

/// Why a gateway cannot start. A retry does not help before something is changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting does not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({source}); set `gateway.listen` to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A URL is none.
    #[error("`{setting}` is not a URL such as http://127.0.0.1:7401")]
    Url {
        /// The setting that holds it.
        setting: &'static str,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// The service token cannot stand in a header.
    #[error("`auth.service_token` holds characters that cannot stand in a header; use letters and digits")]
    ServiceToken,
}

/// A gateway that is bound to its address and does not serve yet.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    listener: std::net::TcpListener,
    address: SocketAddr,
    upstream: Channels,
    service_token: ServiceToken,
    metrics: GatewayMetrics,
    socketio: Option<Arc<huddle_socketio::Server>>,
}

/// Binds a gateway to its address. Must be called within the runtime on which it is to run.
pub async fn bind(parts: Parts) -> Result<Server, StartError> {
    let config = &parts.config;
    config.validate()?;
    let channel = |url: &str, setting| upstream::channel(url).map_err(|source| StartError::Url { setting, source });
    let upstream = match &parts.upstream {
        Upstream::Urls => Channels {
            history: channel(&config.history_url, "gateway.history_url")?,
            directory: channel(&config.directory_url, "gateway.directory_url")?,
            are_watched: true,
        },
        Upstream::Channels { history, directory } => {
            Channels { history: history.clone(), directory: directory.clone(), are_watched: false }
        }
    };
    let service_token = ServiceToken::new(&parts.service_token).map_err(|_| StartError::ServiceToken)?;
    let listen = |source| StartError::Listen { address: config.listen, source };
    let listener = listen_on(config.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let metrics = parts.metrics.register(GatewayMetrics::register);
    let socketio = if config.socketio.enabled {
        let metrics = parts.metrics.register(SocketIoMetrics::register);
        let server = huddle_socketio::Server::new(config.socketio(), Arc::clone(&parts.bus), metrics);
        Some(server.map_err(ConfigError::from)?)
    } else {
        None
    };
    Ok(Server { parts, listener, address, upstream, service_token, metrics, socketio })
}

impl Server {
    /// Where it listens; the port is the real one when the settings say 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown: at the soft stage connections are sent away over the configured time, at the hard stage
    /// what is left is cut off.
    pub async fn run(self, shutdown: Shutdown) -> io::Result<()> {
        let Self { parts, listener, upstream, socketio, .. } = self;
        let Parts { config, log, bus, verifier, readiness, demo, .. } = parts;
        let metrics = self.metrics;
        let refused = metrics.sockets_refused.clone();
        let history = History::new(upstream.history.clone(), self.service_token.clone(), metrics.clone());
        let directory = Directory::new(upstream.directory.clone(), self.service_token, metrics.clone());
        let counting = tokio::spawn(count_losses(Arc::clone(&bus), metrics.clone()));
        let sources = Sources {
            log: Arc::clone(&log),
            bus,
            history,
            memberships: Arc::new(Memberships::new(directory.clone())),
            names: Arc::new(Names::new(directory)),
            metrics,
        };
        let core = Arc::new(Core::new(config.clone(), verifier, sources, shutdown.clone()));
        let (relay, watermarks) = (Arc::clone(&core.relay), Arc::clone(&core.watermarks));

        let watch = Watch { log: Arc::clone(&log), upstream, readiness };
        let watching = tokio::spawn(watch.run(shutdown.clone()));
        let following = tokio::spawn(follow_watermarks(log, watermarks, shutdown.clone()));

        let sessions = socketio.clone();
        let forwarding = socketio.clone().map(|server| tokio::spawn(server.run()));

        let listening = listener.try_clone()?;
        let workers = worker_count(&config);
        let sockets = Sockets::new(workers);
        let page = Arc::new(Page::new(demo));
        let body_bytes_max = config.frame_max.as_usize();
        let server = HttpServer::new(move || {
            let worker = Worker::start(Arc::clone(&core));
            let page = Arc::clone(&page);
            let sessions = socketio.as_ref().map(|server| {
                // The rules have been checked with the rest of the settings.
                let rules = core.config.labellab_rules().unwrap_or_default();
                let sessions = server.worker(Rc::new(LabelLab::new(&worker, rules)));
                Rc::clone(worker.socketio.get_or_init(|| sessions))
            });
            App::new()
                .wrap(from_fn(origins::guard))
                .wrap(origins::headers(Arc::clone(&core)))
                .app_data(worker)
                .route("/v1/ws", web::get().to(native::upgrade))
                .configure(|routes| {
                    if let Some(sessions) = sessions {
                        huddle_socketio::configure(routes, sessions);
                    }
                })
                .configure(|routes| rest::configure(routes, body_bytes_max))
                .configure(labellab::configure_http)
                .configure(|routes| page::configure(routes, page))
        })
        .workers(workers)
        .max_connections(sockets.per_worker_max())
        .tcp_nodelay(true)
        // A poll ends its session when its client goes away, which has to be noticed for that.
        .h1_allow_half_closed(false)
        .on_connect(move |connection, data| {
            if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                match sockets.admit() {
                    Some(place) => _ = data.insert(place),
                    None => {
                        refused.inc();
                        return sockets::refuse(stream);
                    }
                }
                // Without it a reader that has stopped is noticed by the heartbeat all the same, only its socket lingers.
                let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
            }
        })
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .disable_signals()
        .shutdown_timeout(ending::longest(config.drain).as_secs().max(1))
        .listen(listener)?
        .run();

        let handle = server.handle();
        let ending = Ending { drain: config.drain, relay, sessions, listener: listening, handle: handle.clone() };
        let draining = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                shutdown.soft().cancelled().await;
                ending.run().await;
            })
        };
        tokio::pin!(server);
        let outcome = tokio::select! {
            outcome = &mut server => outcome,
            () = shutdown.hard().cancelled() => {
                let (outcome, ()) = tokio::join!(server, handle.stop(false));
                outcome
            }
        };
        draining.abort();
        watching.abort();
        following.abort();
        counting.abort();
        if let Some(forwarding) = forwarding {
            forwarding.abort();
        }
        outcome
    }
}

fn worker_count(config: &Config) -> usize {
    if config.workers > 0 { config.workers } else { std::thread::available_parallelism().map_or(1, NonZeroUsize::get) }
}
