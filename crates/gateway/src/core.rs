//! What all workers of a gateway share.

use std::sync::Arc;

use huddle_auth::Verifier;
use huddle_log::{Log, Watermarks};

use crate::{
    Config, memberships::Memberships, metrics::GatewayMetrics, names::Names, relay::Relay, sends::Sends,
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
