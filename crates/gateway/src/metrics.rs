//! The gateway's metrics.

use huddle_bus::Losses;
use huddle_proto::gateway::v1::{CloseCode, ErrorCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Counters and gauges of one gateway. Clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayMetrics {
    pub(crate) connections: Gauge,
    pub(crate) sockets_refused: Counter,
    pub(crate) subscriptions: Gauge,
    pub(crate) feeds: Gauge,
    pub(crate) frames_in: Counter,
    pub(crate) events_relayed: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) sends_accepted: Counter,
    pub(crate) sends_refused_log_full: Counter,
    pub(crate) gaps_filled: Counter,
    pub(crate) feeds_broken: Counter,
    pub(crate) prior_send_lookups_skipped: Counter,
    pub(crate) feeds_behind: Counter,
    page_reads: Family<SourceLabel, Counter>,
    upstream_calls: Family<CallLabel, Counter>,
    bus_losses: Family<LossLabel, Counter>,
    refusals: Family<CodeLabel, Counter>,
    closes: Family<CodeLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    // A name of a closed set of the protocol.
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabel {
    // One of the fields of `Losses`.
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    // One of `ReadFrom`.
    from: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    // A method of history or of the directory.
    call: &'static str,
}

/// Where a page of a team's events came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadFrom {
    Memory,
    Log,
    History,
}

impl GatewayMetrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("gateway");
        registry.register("connections", "Open WebSockets", metrics.connections.clone());
        registry.register(
            "sockets_refused",
            "Clients refused because this process may not open more files",
            metrics.sockets_refused.clone(),
        );
        registry.register("subscriptions", "Subscriptions in force", metrics.subscriptions.clone());
        registry.register("feeds", "Teams whose live events this gateway follows", metrics.feeds.clone());
        registry.register("frames_in", "Text and binary messages received", metrics.frames_in.clone());
        registry.register("events_relayed", "Events taken from the log, once each", metrics.events_relayed.clone());
        registry.register("deliveries", "Events put into connections' outboxes", metrics.deliveries.clone());
        registry.register("sends_accepted", "Messages accepted by the log", metrics.sends_accepted.clone());
        registry.register(
            "sends_refused_log_full",
            "Messages refused because the log is full",
            metrics.sends_refused_log_full.clone(),
        );
        registry.register("gaps_filled", "Gaps in live feeds filled from elsewhere", metrics.gaps_filled.clone());
        registry.register(
            "feeds_behind",
            "Quiet feeds that had lost their team's last event",
            metrics.feeds_behind.clone(),
        );
        registry.register(
            "page_reads",
            "Pages of missed events by where they came from, once however many clients share one",
            metrics.page_reads.clone(),
        );
        registry.register(
            "upstream_calls",
            "Calls of history and the directory, by method",
            metrics.upstream_calls.clone(),
        );
        registry.register("feeds_broken", "Live feeds given up", metrics.feeds_broken.clone());
        registry.register(
            "prior_send_lookups_skipped",
            "Sends published without asking the store for an earlier one under the same key, because it did not answer",
            metrics.prior_send_lookups_skipped.clone(),
        );
        registry.register(
            "bus_losses",
            "What came over the bus between gateways, or was to go over it, and found no room, by kind",
            metrics.bus_losses.clone(),
        );
        registry.register("refusals", "Requests refused, by error code", metrics.refusals.clone());
        registry.register("closes", "Connections closed by the gateway, by close code", metrics.closes.clone());
        metrics
    }

    /// Counts what the bus has lost since it was at `before`.
    pub(crate) fn lost(&self, before: Losses, now: Losses) {
        let kinds = [
            ("signals", before.signals, now.signals),
            ("requests", before.requests, now.requests),
            ("replies", before.replies, now.replies),
            ("messages", before.messages, now.messages),
        ];
        for (kind, before, now) in kinds {
            self.bus_losses.get_or_create(&LossLabel { kind }).inc_by(now.saturating_sub(before));
        }
    }

    pub(crate) fn page_read(&self, from: ReadFrom) {
        let from = match from {
            ReadFrom::Memory => "memory",
            ReadFrom::Log => "log",
            ReadFrom::History => "history",
        };
        self.page_reads.get_or_create(&SourceLabel { from }).inc();
    }

    /// Counts a call of history or the directory; `call` is the method's name.
    pub(crate) fn upstream_call(&self, call: &'static str) {
        self.upstream_calls.get_or_create(&CallLabel { call }).inc();
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&CodeLabel { code: code.as_str_name() }).inc();
    }

    pub(crate) fn closed(&self, code: CloseCode) {
        self.closes.get_or_create(&CodeLabel { code: code.as_str_name() }).inc();
    }
}
