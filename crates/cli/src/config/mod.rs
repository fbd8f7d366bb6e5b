//! The configuration of all services in one type: every crate's own section, and where it is read from.

mod args;
mod auth;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use huddle_auth::Verifier;
use huddle_service::telemetry::TelemetryConfig;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    args::{ConfigArgs, SETTING_VARIABLES},
    auth::AuthConfig,
};

/// Every setting with its meaning and default, as `huddle config default` prints it.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// The settings that are secrets, and may be given as `<setting>_file` instead.
const SECRETS: [&str; 3] = ["auth.secret", "auth.service_token", "store.url"];

/// The settings of all services. A service reads its own section and the shared ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) admin: AdminAddresses,
    pub(crate) auth: AuthConfig,
    pub(crate) log: huddle_log_nats::Config,
    pub(crate) store: huddle_store_postgres::Config,
    pub(crate) gateway: huddle_gateway::Config,
    pub(crate) history: huddle_history::Config,
    pub(crate) directory: huddle_directory::Config,
    pub(crate) persistence: huddle_persistence::Config,
}

/// Where each service answers for its health and metrics. One section, so that one file serves all services of a
/// machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminAddresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) history: SocketAddr,
    pub(crate) directory: SocketAddr,
    pub(crate) persistence: SocketAddr,
}

impl Default for AdminAddresses {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { gateway: local(9600), history: local(9601), directory: local(9602), persistence: local(9603) }
    }
}

impl Config {
    /// Checks what a type cannot say.
    fn check(&self) -> anyhow::Result<()> {
        self.log.validate().context("section `log`")?;
        Verifier::new(self.auth.verifier_options()).context("section `auth`")?;
        if self.store.max_connections == 0 {
            return Err(anyhow!("`store.max_connections` is 0 and must be at least 1"));
        }
        Ok(())
    }
}
