//! The gateway's settings.

use std::{net::SocketAddr, time::Duration};

use huddle_domain::IdError;
use huddle_service::config::{ByteCount, duration};
use serde::{Deserialize, Serialize};

use crate::labellab::{LabelLabConfig, LabelLabRules, SocketIoConfig};

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
    /// Origins (scheme, host, port) whose pages may connect and call, besides the gateway's own; `*` = all. Requests
    /// without an `Origin` header come from no page and are let in. Default: none.
    pub allowed_origins: Vec<String>,
    /// Most native connections at once, and most Socket.IO sessions, on each worker. Default: 20,000.
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
    /// What the last events of all teams that are followed here may take in memory, from which clients that were away for a
    /// moment are served. Default: 64 MiB.
    pub recent_events_max: ByteCount,
    /// How long a team is followed after its last client has gone, so that those who come back are served from memory.
    /// Default: 30 s.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// On shutdown: the time over which connections are told to go away. Default: 5 s.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Socket.IO.
    pub socketio: SocketIoConfig,
    /// LabelLab's chat.
    pub labellab: LabelLabConfig,
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
            recent_events_max: ByteCount::mebibytes(64),
            linger: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            socketio: SocketIoConfig::default(),
            labellab: LabelLabConfig::default(),
        }
    }
}

/// A setting that a gateway cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is too small.
    #[error("`gateway.{setting}` is too small: at least {minimum}")]
    TooSmall {
        /// The setting's name within the section.
        setting: &'static str,
        /// The least that works.
        minimum: &'static str,
    },
    /// An id is none.
    #[error("`gateway.{setting}` holds something that is no id: {source}")]
    Id {
        /// The setting's name within the section.
        setting: &'static str,
        /// Why not.
        source: IdError,
    },
    /// A setting of Socket.IO.
    #[error("`gateway.socketio`: {0}")]
    SocketIo(#[from] huddle_socketio::ConfigError),
    /// Anybody could read, and send as anybody.
    #[error(
        "`gateway.labellab.legacy_teams` lets clients in without a token, and `gateway.listen` is {listen}, where others \
         can connect: name the networks to trust in `gateway.labellab.trusted_networks`, or listen on 127.0.0.1"
    )]
    LegacyInPublic {
        /// Where the gateway listens.
        listen: SocketAddr,
    },
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
            ("socketio.payload_max", "52KiB", self.socketio.payload_max.as_u64() >= FRAME_BYTES_MIN),
            ("socketio.ping_interval", "100ms", self.socketio.ping_interval >= Duration::from_millis(100)),
            ("socketio.ping_timeout", "100ms", self.socketio.ping_timeout >= Duration::from_millis(100)),
        ];
        if let Some((setting, minimum, _)) = checks.into_iter().find(|(_, _, is_met)| !is_met) {
            return Err(ConfigError::TooSmall { setting, minimum });
        }
        self.socketio().validate()?;
        self.labellab_rules()?;
        let is_public = !self.listen.ip().is_loopback();
        if is_public && !self.labellab.legacy_teams.is_empty() && self.labellab.trusted_networks.is_empty() {
            return Err(ConfigError::LegacyInPublic { listen: self.listen });
        }
        Ok(())
    }

    /// The settings of the Socket.IO server.
    pub(crate) fn socketio(&self) -> huddle_socketio::Config {
        huddle_socketio::Config {
            path: self.socketio.path.clone(),
            ping_interval: self.socketio.ping_interval,
            ping_timeout: self.socketio.ping_timeout,
            payload_max: self.socketio.payload_max.as_usize(),
            connect_timeout: self.hello_timeout,
            sessions_per_worker_max: self.connections_per_worker_max,
            outbox_max: self.outbox_max.as_usize(),
            outbox_frames_max: self.outbox_frames_max,
            namespaces: self.socketio.namespaces.clone(),
        }
    }

    pub(crate) fn labellab_rules(&self) -> Result<LabelLabRules, ConfigError> {
        self.labellab.rules().map_err(|(setting, source)| ConfigError::Id { setting, source })
    }

    /// Whether pages of `origin`, whose requests name `host`, may connect and call. A page of the gateway's own host
    /// always may.
    pub(crate) fn allows_origin(&self, origin: &str, host: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin)
            || !host.is_empty()
                && ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
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

    #[test]
    fn clients_without_a_token_are_not_let_in_from_everywhere_by_accident() {
        let mut config = Config { listen: SocketAddr::from(([0, 0, 0, 0], 8080)), ..Config::default() };
        config.labellab.legacy_teams = vec!["7".to_owned()];
        assert_eq!(config.validate(), Err(ConfigError::LegacyInPublic { listen: config.listen }));
        config.labellab.trusted_networks = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(config.validate(), Ok(()));
    }
}
