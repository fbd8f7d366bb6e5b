//! What all workers of a gateway share.

use std::sync::Arc;

use huddle_auth::Verifier;
use huddle_log::{Log, Watermarks};
use huddle_service::lifecycle::Shutdown;

use crate::{
    Config,
    memberships::Memberships,
    metrics::GatewayMetrics,
    names::Names,
    relay::{Relay, Sources},
    sends::{PriorSends, Sends},
    upstream::History,
};

/// The parts that every request handler may need, on whatever thread.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) history: History,
    pub(crate) memberships: Arc<Memberships>,
    pub(crate) names: Arc<Names>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) sends: Sends,
    pub(crate) watermarks: Arc<Watermarks>,
    pub(crate) metrics: GatewayMetrics,
}

impl Core {
    /// Must be called within the runtime that feeds and look-ups are to run on.
    pub(crate) fn new(config: Config, verifier: Arc<Verifier>, sources: Sources, shutdown: Shutdown) -> Self {
        let (log, memberships) = (Arc::clone(&sources.log), Arc::clone(&sources.memberships));
        let (history, names, metrics) = (sources.history.clone(), Arc::clone(&sources.names), sources.metrics.clone());
        let prior = PriorSends::start(history.clone(), metrics.clone());
        Self {
            watermarks: Arc::new(Watermarks::new(log.partitions())),
            sends: Sends::new(Arc::clone(&log), Arc::clone(&memberships), prior, metrics.clone()),
            relay: Arc::new(Relay::new(sources, &config, shutdown)),
            config,
            log,
            verifier,
            history,
            memberships,
            names,
            metrics,
        }
    }
}
