//! Owns the settings of the store.

use std::time::Duration;

use huddle_service::config::{Secret, duration};
use huddle_store::StoreError;
use serde::{Deserialize, Serialize};

/// Postgres counts in milliseconds, and takes 0 for "without end".
const DURATION_MIN: Duration = Duration::from_millis(1);

/// The settings of a [`PostgresStore`](crate::PostgresStore).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Postgres is: `postgres://user:password@host:port/database`. Secret, because it holds the password.
    /// Default: `postgres://huddle@127.0.0.1:5432/huddle`.
    pub url: Secret,
    /// How many connections reads share, at least 1. A process that writes has one more for each partition that it
    /// owns. Default: 10.
    pub max_connections: u32,
    /// How long an operation waits for a connection, new or shared, at least 1 ms. Default: 5 s.
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    /// How long Postgres works on one statement before it gives up, at least 1 ms; a batch of a writer may take
    /// three times as long. History and directory work no longer than their calls may take, 10 s and 5 s. Migrations are not
    /// limited. Default: 10 s.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::new("postgres://huddle@127.0.0.1:5432/huddle".to_owned()),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Checks every setting but the URL.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] names the first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), StoreError> {
        let settings = [
            ("max_connections", self.max_connections == 0, "1"),
            ("acquire_timeout", self.acquire_timeout < DURATION_MIN, "\"1ms\""),
            ("statement_timeout", self.statement_timeout < DURATION_MIN, "\"1ms\""),
        ];
        match settings.iter().find(|(_, is_too_small, _)| *is_too_small) {
            None => Ok(()),
            Some((setting, _, least)) => Err(StoreError::Unsuitable {
                problem: format!("`{setting}` is too small"),
                remedy: format!("set it to {least} or more"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_named() {
        assert!(Config::default().validate().is_ok());
        let cases = [
            ("max_connections", Config { max_connections: 0, ..Config::default() }),
            ("acquire_timeout", Config { acquire_timeout: Duration::ZERO, ..Config::default() }),
            ("statement_timeout", Config { statement_timeout: Duration::ZERO, ..Config::default() }),
        ];
        for (setting, config) in cases {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{setting}`")), "{error}");
        }
    }
}
