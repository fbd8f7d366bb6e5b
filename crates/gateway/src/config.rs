//! The gateway's settings.

use std::{net::SocketAddr, time::Duration};

use huddle_service::config::{ByteCount, duration};
use serde::{Deserialize, Serialize};

/// The section `[gateway]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients connect. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Threads that serve connections; 0 = one per processor. Default: 0.
    pub workers: usize,
    /// Where history answers gRPC. Default: `http://127.0.0.1:7401`.
    pub history_url: String,
    /// Where the directory answers gRPC. Default: `http://127.0.0.1:7402`.
    pub directory_url: String,
    /// Origins (scheme, host, port) whose pages may open WebSockets, besides the gateway's own. Requests without an
    /// `Origin` header come from no page and are let in. Default: none.
    pub allowed_origins: Vec<String>,
    /// Most connections at once, on each worker. Default: 20,000.
    pub connections_per_worker_max: usize,
    /// Largest frame and request body from a client. Default: 64 KiB.
    pub frame_max: ByteCount,
    /// Most teams that one connection subscribes to. Default: 1,000.
    pub subscriptions_per_connection_max: usize,
    /// How long a connection may stay without a valid `hello`. Default: 5 s.
    #[serde(with = "duration")]
    pub hello_timeout: Duration,
    /// How often a connection is pinged; one that is silent for two of these is closed. Default: 20 s.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// How much may wait for one connection; beyond it the connection is closed as a slow consumer. Default: 1 MiB.
    pub outbox_max: ByteCount,
    /// How many frames may wait for one connection. Default: 4,096.
    pub outbox_frames_max: usize,
    /// On shutdown: the time over which connections are told to go away. Default: 5 s.
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 0,
            history_url: "http://127.0.0.1:7401".to_owned(),
            directory_url: "http://127.0.0.1:7402".to_owned(),
            allowed_origins: Vec::new(),
            connections_per_worker_max: 20_000,
            frame_max: ByteCount::kibibytes(64),
            subscriptions_per_connection_max: 1_000,
            hello_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(20),
            outbox_max: ByteCount::mebibytes(1),
            outbox_frames_max: 4_096,
            drain: Duration::from_secs(5),
        }
    }
}
