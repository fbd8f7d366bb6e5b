//! Gateways for tests: each a server with two worker threads and an application that does what clients ask it to.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test's helper fails with its test")]

mod application;
mod http;
pub(crate) mod shaky_bus;
mod websocket;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle};
use huddle_bus::Bus;
use huddle_socketio::{Config, Server, SocketIoMetrics, Worker, configure};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

pub(crate) use self::{
    application::{Shared, TestApplication},
    http::{Http, poll, post, sid_of},
    websocket::WebSocket,
};

/// How long anything may take that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const WORKERS: usize = 2;

type OnWorker = Box<dyn FnOnce(&Worker) + Send>;

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    registry: Registry,
    handle: ServerHandle,
    serving: AbortHandle,
    workers: Vec<tokio::sync::mpsc::UnboundedSender<OnWorker>>,
}

/// Settings with deadlines that no test waits for.
pub(crate) fn config() -> Config {
    Config { namespaces: vec!["/custom".to_owned()], ..Config::default() }
}

impl Gateway {
    pub(crate) fn start(config: Config, bus: &Arc<dyn Bus>) -> Self {
        let mut registry = Registry::default();
        let metrics = SocketIoMetrics::register(&mut registry);
        let server = Server::new(config, Arc::clone(bus), metrics).unwrap();
        let shared = Arc::new(Shared::default());
        let (started, starting) = mpsc::channel();
        let (worker_started, worker_starting) = mpsc::channel();
        let its_shared = Arc::clone(&shared);
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let serving = tokio::spawn(Arc::clone(&server).run()).abort_handle();
                let server = HttpServer::new(move || {
                    let worker = server.worker(TestApplication::new(Arc::clone(&its_shared)));
                    let (on_worker, mut asked) = tokio::sync::mpsc::unbounded_channel::<OnWorker>();
                    let its_worker = std::rc::Rc::clone(&worker);
                    actix_web::rt::spawn(async move {
                        while let Some(ask) = asked.recv().await {
                            ask(&its_worker);
                        }
                    });
                    worker_started.send(on_worker).unwrap();
                    App::new().configure(|routes| configure(routes, worker))
                })
                .workers(WORKERS)
                .h1_allow_half_closed(false)
                .tcp_nodelay(true)
                .disable_signals()
                .shutdown_timeout(1)
                .bind(("127.0.0.1", 0))
                .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                started.send((address, server.handle(), serving)).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle, serving) = starting.recv().unwrap();
        let workers = (0..WORKERS).map(|_| worker_starting.recv().unwrap()).collect();
        Self { address, shared, registry, handle, serving, workers }
    }

    /// Does something on each worker thread.
    pub(crate) async fn on_workers<T: Send + 'static>(&self, ask: fn(&Worker) -> T) -> Vec<T> {
        let mut answers = Vec::new();
        for worker in &self.workers {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let asked = worker.send(Box::new(move |worker| drop(answer.send(ask(worker)))));
            assert!(asked.is_ok());
            answers.push(answered.await.unwrap());
        }
        answers
    }

    /// Has each worker thread drain.
    pub(crate) async fn drain(&self, over: Duration) {
        for worker in &self.workers {
            let asked = worker.send(Box::new(move |worker| worker.drain(over)));
            assert!(asked.is_ok());
        }
        self.on_workers(|_| ()).await;
    }

    /// Sessions that are open, or still have something to hand out.
    pub(crate) async fn session_count(&self) -> usize {
        self.on_workers(Worker::session_count).await.into_iter().sum()
    }

    /// Waits until no session is left and the application has let go of all handlers.
    pub(crate) async fn is_empty(&self) {
        let started = Instant::now();
        while self.session_count().await > 0 || self.shared.handlers.load(Ordering::SeqCst) > 0 {
            assert!(started.elapsed() < PATIENCE, "{} sessions are left", self.session_count().await);
            sleep(Duration::from_millis(10)).await;
        }
        let (connected, gone) = (&self.shared.connected, &self.shared.disconnected);
        assert_eq!(connected.load(Ordering::SeqCst), gone.load(Ordering::SeqCst), "each socket's end is told once");
    }

    /// The value of a metric, its name without the prefix.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("socketio_{name} ")));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// From here on nobody takes requests of other gateways, as if the process were gone.
    pub(crate) fn vanish(&self) {
        self.serving.abort();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// The outcome of something that must not take long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("takes too long")
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "takes too long");
        sleep(Duration::from_millis(5)).await;
    }
}
