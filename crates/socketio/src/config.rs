//! What can be set, and within which limits.

use std::time::Duration;

/// The most that [`Config::payload_max`] can be, in bytes: with its envelope it still fits into one request between
/// gateways.
pub const PAYLOAD_BYTES_LIMIT: usize = 1_000_000;
/// The least that [`Config::outbox_max`] can be, in bytes.
pub const OUTBOX_BYTES_MIN: usize = 16 * 1024;
/// The least that [`Config::outbox_frames_max`] can be: an event with all its attachments, and what is said besides.
pub const OUTBOX_FRAMES_MIN: usize = 16;
/// Namespaces that a session can be connected to at once, the default one included.
pub const NAMESPACES_MAX: usize = 16;

/// Settings of a server. The defaults are those of Socket.IO where it has any.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the routes are: begins and ends with `/`, and is served without the last `/` too.
    pub path: String,
    /// How often the server pings a client of Engine.IO 4, and how often one of Engine.IO 3 is told to ping.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take; with `ping_interval`, how long a client may be silent.
    pub ping_timeout: Duration,
    /// Bytes of a post's body, of one WebSocket message, and of what one poll is answered with (which has one packet at
    /// least, however long that is). At most [`PAYLOAD_BYTES_LIMIT`].
    pub payload_max: usize,
    /// How long a session may be without a connected namespace. While the application decides about one it does not run.
    pub connect_timeout: Duration,
    /// Sessions of one worker thread, and WebSockets there whose sessions live elsewhere, together; beyond it handshakes are
    /// refused with 503.
    pub sessions_per_worker_max: usize,
    /// Bytes that may wait for one client. At least [`OUTBOX_BYTES_MIN`].
    pub outbox_max: usize,
    /// Frames that may wait for one client. At least [`OUTBOX_FRAMES_MIN`].
    pub outbox_frames_max: usize,
    /// Namespaces besides `/`, each with its leading `/`. At most [`NAMESPACES_MAX`] less one.
    pub namespaces: Vec<String>,
}

/// A setting that does not work. A retry does not help before it is changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The path is none.
    #[error("`path` must begin and end with a slash and hold no `{{`, `}}`, `?` or `#`")]
    Path,
    /// A duration is zero.
    #[error("`{0}` must be longer than 0")]
    Zero(&'static str),
    /// The payload's limit is out of bounds.
    #[error("`payload_max` must be from 1 to {PAYLOAD_BYTES_LIMIT} bytes")]
    PayloadMax,
    /// There is too little room for what waits for a client.
    #[error(
        "`outbox_max` must be at least {OUTBOX_BYTES_MIN} bytes, and `outbox_frames_max` at least {OUTBOX_FRAMES_MIN}"
    )]
    Outbox,
    /// A namespace is none, or there are too many.
    #[error("`namespaces` must be at most {} different names that begin with a slash, without `,` or `?`", NAMESPACES_MAX - 1)]
    Namespaces,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            payload_max: 64 * 1024,
            connect_timeout: Duration::from_secs(5),
            sessions_per_worker_max: 50_000,
            outbox_max: 1024 * 1024,
            outbox_frames_max: 1_024,
            namespaces: Vec::new(),
        }
    }
}

impl Config {
    /// Says what does not work, if anything.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let path = &self.path;
        if !path.starts_with('/') || !path.ends_with('/') || path.contains(['{', '}', '?', '#']) {
            return Err(ConfigError::Path);
        }
        let durations = [
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
            ("connect_timeout", self.connect_timeout),
        ];
        if let Some((name, _)) = durations.into_iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        if !(1..=PAYLOAD_BYTES_LIMIT).contains(&self.payload_max) {
            return Err(ConfigError::PayloadMax);
        }
        if self.outbox_max < OUTBOX_BYTES_MIN || self.outbox_frames_max < OUTBOX_FRAMES_MIN {
            return Err(ConfigError::Outbox);
        }
        let is_named = |name: &String| name.len() > 1 && name.starts_with('/') && !name.contains([',', '?']);
        let different: std::collections::HashSet<_> = self.namespaces.iter().collect();
        if self.namespaces.len() >= NAMESPACES_MAX
            || different.len() != self.namespaces.len()
            || !self.namespaces.iter().all(is_named)
        {
            return Err(ConfigError::Namespaces);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate()
        };
        assert_eq!(with(|config| config.path = "socket.io/".to_owned()), Err(ConfigError::Path));
        assert_eq!(with(|config| config.ping_timeout = Duration::ZERO), Err(ConfigError::Zero("ping_timeout")));
        assert_eq!(with(|config| config.payload_max = PAYLOAD_BYTES_LIMIT + 1), Err(ConfigError::PayloadMax));
        assert_eq!(with(|config| config.outbox_max = OUTBOX_BYTES_MIN - 1), Err(ConfigError::Outbox));
        assert_eq!(with(|config| config.outbox_frames_max = OUTBOX_FRAMES_MIN - 1), Err(ConfigError::Outbox));
        for names in [&["custom"][..], &["/"], &["/a,b"], &["/a?b"], &["/a", "/a"]] {
            let namespaces = names.iter().map(ToString::to_string).collect();
            let config = Config { namespaces, ..Config::default() };
            assert_eq!(config.validate(), Err(ConfigError::Namespaces), "{names:?}");
        }
    }
}
