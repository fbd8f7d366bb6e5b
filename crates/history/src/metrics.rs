//! What the history service measures.

use huddle_grpc::CallMetrics;
use huddle_service::metrics::Metrics;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// The metrics of one history service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HistoryMetrics {
    /// `history_calls`, `history_call_seconds`.
    pub(crate) calls: CallMetrics,
    /// `history_streams`: streams of events that are open.
    pub(crate) streams: Gauge,
    /// `history_stream_refills`: how often a live stream had to read from the store again.
    pub(crate) stream_refills: Counter,
}

impl HistoryMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let registered = Self {
            calls: CallMetrics::register(metrics, "history"),
            streams: Gauge::default(),
            stream_refills: Counter::default(),
        };
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("history");
            registry.register("streams", "Streams of events that are open", registered.streams.clone());
            registry.register(
                "stream_refills",
                "Gaps in live streams that were filled from the store",
                registered.stream_refills.clone(),
            );
        });
        registered
    }
}
