//! What an operator can say about the log on NATS.

use std::{fmt, time::Duration};

use huddle_domain::Partitions;
use huddle_log::LogError;
use huddle_service::config::{ByteCount, duration};
use serde::{Deserialize, Serialize};

use crate::{monitor::Monitor, production};

/// Where the log is and how its streams are made. `Debug` leaves out user names and passwords in server addresses.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses of NATS servers, `nats://host:port` or `tls://host:port`; `user:password@` before the host where the
    /// server asks for it. One is enough, the rest of the cluster is learnt from it. Default:
    /// `["nats://127.0.0.1:4222"]`.
    pub servers: Vec<String>,
    /// How many partitions the log has: 1 to 1,024, fixed when the log is created. Default: 1.
    pub partitions: u16,
    /// Copies of each partition: 1, 3 or 5, at most as many as there are servers. Default: 1.
    pub replicas: u8,
    /// When an event leaves the log: at least 1 h. Default: 7 d.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// What one partition may take on the disk of each server; a full log refuses new events. At least 1 MiB. Default:
    /// 8 GiB.
    pub max_bytes: ByteCount,
    /// Whether to refuse a log that can lose what it has acknowledged: then `replicas` must be 3 or 5, so must be the
    /// copies of each stream, and `sync_always` must be true. Default: false.
    pub production: bool,
    /// The operator's word that each NATS server has `jetstream { sync_interval: always }` in its configuration: clients
    /// cannot see it, and without it a power cut takes up to 2 minutes of what was acknowledged. Counts in production only.
    /// Default: false.
    pub sync_always: bool,
    /// The monitoring addresses of all NATS servers, `http://host:port`. In production every service asks them when it
    /// starts whether they sync, and does not start when one does not, or does not answer. Default: none.
    pub monitors: Vec<String>,
}

/// Shortest retention: persistence must have had time to notice that it lags.
const MAX_AGE_MIN: Duration = Duration::from_hours(1);
/// Smallest partition.
const MAX_BYTES_MIN: ByteCount = ByteCount::mebibytes(1);

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            partitions: 1,
            replicas: 1,
            max_age: Duration::from_hours(7 * 24),
            max_bytes: ByteCount::mebibytes(8 * 1024),
            production: false,
            sync_always: false,
            monitors: Vec::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|server| without_credentials(server)).collect();
        f.debug_struct("Config")
            .field("servers", &servers)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .field("max_age", &self.max_age)
            .field("max_bytes", &self.max_bytes)
            .field("production", &self.production)
            .field("sync_always", &self.sync_always)
            .field("monitors", &self.monitors)
            .finish()
    }
}

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`LogError::Unsuitable`] names the first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), LogError> {
        let refused = |problem: String, remedy: &str| Err(LogError::Unsuitable { problem, remedy: remedy.to_owned() });
        if self.servers.is_empty() {
            return refused("`servers` is empty".to_owned(), "name at least one NATS server");
        }
        if let Err(error) = Partitions::new(self.partitions) {
            return refused(format!("`partitions` is {}", self.partitions), &error.to_string());
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return refused(format!("`replicas` is {}", self.replicas), "set it to 1, 3 or 5");
        }
        if self.max_age < MAX_AGE_MIN {
            return refused(format!("`max_age` is {:?}", self.max_age), "set it to 1h or more");
        }
        if self.max_bytes < MAX_BYTES_MIN || i64::try_from(self.max_bytes.as_u64()).is_err() {
            return refused(format!("`max_bytes` is {}", self.max_bytes), "set it to 1MiB or more");
        }
        for monitor in &self.monitors {
            Monitor::parse(monitor)?;
        }
        production::check_settings(self)
    }
}

/// `server` without its `user:password@`.
pub(crate) fn without_credentials(server: &str) -> String {
    match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_password() {
        let servers = ["nats://u:secret@h:1", "u:secret@h:1", "nats://h:1"].map(str::to_owned).to_vec();
        let shown = format!("{:?}", Config { servers, ..Config::default() });
        assert!(!shown.contains("secret") && shown.contains("nats://h:1"), "{shown}");
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        let cases = [
            ("servers", Config { servers: Vec::new(), ..Config::default() }),
            ("partitions", Config { partitions: 0, ..Config::default() }),
            ("replicas", Config { replicas: 2, ..Config::default() }),
            ("max_age", Config { max_age: Duration::from_secs(1), ..Config::default() }),
            ("max_bytes", Config { max_bytes: ByteCount::new(1), ..Config::default() }),
            ("monitors", Config { monitors: vec!["nats://127.0.0.1:8222".to_owned()], ..Config::default() }),
        ];
        assert!(Config::default().validate().is_ok());
        for (setting, config) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{setting}`")), "{error}");
        }
    }
}
