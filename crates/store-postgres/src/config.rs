//! Owns the settings of the store.

use std::time::Duration;

use huddle_service::config::{Secret, duration};
use serde::{Deserialize, Serialize};

/// The settings of a [`PostgresStore`](crate::PostgresStore).
#[derive(Debug, Clone, Deserialize, Serialize)]
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
    /// three times as long. Migrations are not limited. Default: 10 s.
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
