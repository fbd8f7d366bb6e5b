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

/// A setting that a gateway cannot work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`gateway.{setting}` is too small: at least {minimum}")]
pub struct ConfigError {
    /// The setting's name within the section.
    pub setting: &'static str,
    /// The least that works.
    pub minimum: &'static str,
}

/// A frame must hold a `hello` with the longest token (8,191 bytes), and a message of 4,000 characters, each of which
/// may be escaped in JSON as 12 bytes.
const FRAME_BYTES_MIN: u64 = 52 * 1024;

impl Config {
    /// Checks what no type can: bounds below which a gateway would refuse everything, or never rest.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            ("connections_per_worker_max", "1", self.connections_per_worker_max >= 1),
            ("frame_max", "52KiB", self.frame_max.as_u64() >= FRAME_BYTES_MIN),
            ("subscriptions_per_connection_max", "1", self.subscriptions_per_connection_max >= 1),
            ("hello_timeout", "100ms", self.hello_timeout >= Duration::from_millis(100)),
            ("heartbeat", "100ms", self.heartbeat >= Duration::from_millis(100)),
            ("outbox_max", "64KiB", self.outbox_max >= ByteCount::kibibytes(64)),
            ("outbox_frames_max", "16", self.outbox_frames_max >= 16),
        ];
        match checks.into_iter().find(|(_, _, is_met)| !is_met) {
            Some((setting, minimum, _)) => Err(ConfigError { setting, minimum }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_are_valid_and_settings_that_never_rest_are_not() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config { heartbeat: Duration::ZERO, ..Config::default() };
        assert_eq!(config.validate().unwrap_err().to_string(), "`gateway.heartbeat` is too small: at least 100ms");
    }
}
