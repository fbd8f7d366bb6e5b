//! The server as a whole.

use std::{rc::Rc, sync::Arc};

use actix_web::web;
use huddle_bus::Bus;

use crate::{Application, Config, ConfigError, SocketIoMetrics};

/// A server of one process: its worker threads' sessions, and the way to those of other processes.
#[derive(Debug)]
pub struct Server {
    config: Config,
    bus: Arc<dyn Bus>,
    metrics: SocketIoMetrics,
}

impl Server {
    /// A server without workers.
    pub fn new(config: Config, bus: Arc<dyn Bus>, metrics: SocketIoMetrics) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        Ok(Arc::new(Self { config, bus, metrics }))
    }

    /// Serves the requests of other processes, until dropped.
    pub async fn run(self: Arc<Self>) {}

    /// The part of one worker thread: to be called on it, once for each place where it is configured.
    pub fn worker(self: &Arc<Self>, application: Rc<dyn Application>) -> Rc<Worker> {
        let _ = (&self.config, &self.bus, &self.metrics, application);
        Rc::new(Worker {})
    }
}

/// The sessions of one worker thread.
#[derive(Debug)]
pub struct Worker {}

impl Worker {
    /// Takes no new sessions: handshakes are refused with 503.
    pub fn drain(&self) {}

    /// Open sessions.
    pub fn session_count(&self) -> usize {
        0
    }
}

/// The routes under [`Config::path`].
pub fn configure(config: &mut web::ServiceConfig, worker: Rc<Worker>) {
    let _ = (config, worker);
}
