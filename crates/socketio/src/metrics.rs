//! The crate's metrics.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Counters and gauges of a server. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct SocketIoMetrics {
    pub(crate) sessions: Family<TransportLabel, Gauge>,
    pub(crate) handshakes: Family<TransportLabel, Counter>,
    pub(crate) polls: Counter,
    pub(crate) posts: Counter,
    pub(crate) upgrades: Counter,
    pub(crate) forwarded: Family<ForwardedLabel, Counter>,
    pub(crate) protocol_errors: Family<ReasonLabel, Counter>,
    pub(crate) expired_sessions: Counter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TransportLabel {
    pub(crate) transport: Transport,
}

/// How a session's packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Polling,
    WebSocket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ForwardedLabel {
    pub(crate) kind: Forwarded,
}

/// What has been passed on to a session's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Forwarded {
    Poll,
    Post,
    WebSocket,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    /// The name of a violation: a closed set.
    pub(crate) reason: &'static str,
}

impl Transport {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl EncodeLabelValue for Transport {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for Forwarded {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let kind = match self {
            Self::Poll => "poll",
            Self::Post => "post",
            Self::WebSocket => "websocket",
        };
        kind.encode(encoder)
    }
}

impl SocketIoMetrics {
    /// Registers all of them, under the prefix `socketio`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("socketio");
        registry.register("sessions", "Open sessions, by transport", metrics.sessions.clone());
        registry.register("handshakes", "Sessions opened, by their first transport", metrics.handshakes.clone());
        registry.register("polls", "Polls received", metrics.polls.clone());
        registry.register("posts", "Posts received", metrics.posts.clone());
        registry.register("upgrades", "Sessions that went from polling to WebSocket", metrics.upgrades.clone());
        registry.register(
            "forwarded_requests",
            "Requests passed on to the session's home, by kind",
            metrics.forwarded.clone(),
        );
        registry.register(
            "protocol_errors",
            "Sessions ended because their client broke the protocol, by reason",
            metrics.protocol_errors.clone(),
        );
        registry.register("expired_sessions", "Sessions ended by a deadline", metrics.expired_sessions.clone());
        metrics
    }
}
