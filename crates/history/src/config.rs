//! The section `history` of the configuration.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How the history service listens and what it bounds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of the gRPC listener; port 0 takes a free one. Default: `127.0.0.1:7401`.
    pub listen: SocketAddr,
    /// Calls under way at once on one connection, at least 1; more are refused and may be retried. Default: 512.
    pub calls_per_connection_max: usize,
    /// Live streams at once in this process; more are refused and may be retried. Default: 2000.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7401)), calls_per_connection_max: 512, streams_max: 2_000 }
    }
}
