//! The configuration of all services in one type: every crate's own section, and where it is read from.

mod args;
mod auth;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use huddle_auth::{SECRET_BYTES_MIN, Verifier};
use huddle_service::{config::Secret, revoked, telemetry::TelemetryConfig};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    args::{ConfigArgs, SETTING_VARIABLES},
    auth::AuthConfig,
};

/// Every setting with its meaning and default, as `huddle config default` prints it.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// The settings that are secrets, and may be given as `<setting>_file` instead.
const SECRETS: [&str; 3] = ["auth.secret", "auth.service_token", "store.url"];

/// The settings that are paths, relative to the configuration file where they stand in it.
const PATHS: [&str; 1] = ["auth.revoked_file"];

/// The settings of all services. A service reads its own section and the shared ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) admin: AdminAddresses,
    pub(crate) auth: AuthConfig,
    pub(crate) log: huddle_log_nats::Config,
    pub(crate) store: huddle_store_postgres::Config,
    pub(crate) embedded: huddle_embedded::Config,
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

/// A value that its type allows and its meaning does not.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Mistake {
    /// The setting, such as `log.replicas`, or its section where no single setting is to blame.
    key: String,
    problem: String,
}

impl Mistake {
    fn of(key: &str, problem: &impl fmt::Display) -> Self {
        Self { key: key.to_owned(), problem: format!("`{key}`: {problem}") }
    }

    /// Takes the setting from the first name in backticks that `problem` holds: `log.replicas`, or `replicas` alone.
    fn in_section(section: &str, problem: &impl fmt::Display) -> Self {
        let problem = problem.to_string();
        let key = match problem.split('`').nth(1) {
            Some(name) if name.starts_with(&format!("{section}.")) => return Self { key: name.to_owned(), problem },
            Some(name) => format!("{section}.{name}"),
            None => section.to_owned(),
        };
        Self::of(&key, &problem)
    }
}

impl Config {
    /// Checks what a type cannot say of keys and tokens.
    fn check_auth(&self) -> Result<(), Mistake> {
        Verifier::new(self.auth.verifier_options()).map(drop).map_err(|error| Mistake::in_section("auth", &error))
    }

    /// Checks the list of revoked tokens, if there is to be one.
    fn check_revoked_file(&self) -> Result<(), Mistake> {
        let Some(path) = &self.auth.revoked_file else { return Ok(()) };
        revoked::read(path).map(drop).map_err(|error| Mistake::of("auth.revoked_file", &error))
    }

    /// Checks what a type cannot say of all else.
    fn check(&self) -> Result<(), Mistake> {
        self.log.validate().map_err(|error| Mistake::in_section("log", &error))?;
        self.embedded.validate().map_err(|error| Mistake::in_section("embedded", &error))?;
        self.gateway.validate().map_err(|error| Mistake::in_section("gateway", &error))?;
        if self.store.max_connections == 0 {
            return Err(Mistake::in_section("store", &"`store.max_connections` is 0 and must be at least 1"));
        }
        Ok(())
    }
    /// As [`check_auth`](Self::check_auth), where a secret will be made if none is set.
    fn check_auth_but_secret(&self) -> Result<(), Mistake> {
        let mut config = self.clone();
        config.auth.secret.get_or_insert_with(|| Secret::new("-".repeat(SECRET_BYTES_MIN)));
        config.check_auth()
    }

    /// Checks that whoever can connect from another machine needs a token that somebody made on purpose: without
    /// `auth.secret` a development secret signs them.
    fn check_secret_or_local(&self) -> Result<(), Mistake> {
        if self.auth.secret.is_some() {
            return Ok(());
        }
        let listeners = [
            ("gateway.listen", self.gateway.listen),
            ("history.listen", self.history.listen),
            ("directory.listen", self.directory.listen),
        ];
        match listeners.into_iter().find(|(_, address)| !address.ip().is_loopback()) {
            None => Ok(()),
            Some((key, address)) => Err(Mistake {
                key: key.to_owned(),
                problem: format!(
                    "`{key}` is {address}, where others can connect, and `auth.secret` is not set: the development \
                     secret is for this machine only. Set `auth.secret` or `auth.secret_file` to a secret of your own \
                     (`openssl rand -base64 48` makes one), or listen on 127.0.0.1"
                ),
            }),
        }
    }
}
