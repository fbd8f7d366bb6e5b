//! The settings of Socket.IO, and of LabelLab's chat on top of it.

use std::{net::IpAddr, time::Duration};

use huddle_domain::{EntityKind, TeamId};
use huddle_service::config::{ByteCount, duration};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The section `[gateway.socketio]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIoConfig {
    /// Whether Socket.IO clients are served. Default: true.
    pub enabled: bool,
    /// The path of Socket.IO's requests; begins and ends with a slash. Default: `/socket.io/`.
    pub path: String,
    /// How often clients are pinged (Engine.IO 4), or have to ping (Engine.IO 3). Default: 25 s.
    #[serde(with = "duration")]
    pub ping_interval: Duration,
    /// How long an answer may take before the session ends. Default: 20 s.
    #[serde(with = "duration")]
    pub ping_timeout: Duration,
    /// Largest body of a request, frame, and answer to a poll. At most 1,000,000 bytes. Default: 64 KiB.
    pub payload_max: ByteCount,
    /// Namespaces besides `/` in which the same chat is served, each with its leading slash. Default: none.
    pub namespaces: Vec<String>,
}

impl Default for SocketIoConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/socket.io/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            payload_max: ByteCount::kibibytes(64),
            namespaces: Vec::new(),
        }
    }
}

/// The section `[gateway.labellab]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelLabConfig {
    /// The kinds of things that a message may point to by `entity_type`. Default: `issue`, `log`.
    pub entity_kinds: Vec<String>,
    /// Teams that clients without a token may read and, as whoever they say they are, send to: for the days of a
    /// migration. Whoever can connect can do so. Default: none.
    pub legacy_teams: Vec<String>,
    /// Networks (such as `10.0.0.0/8`) from which clients without a token are let in. Needed for `legacy_teams` where
    /// others can connect. Default: none, which stands for this machine.
    pub trusted_networks: Vec<IpNet>,
}

impl Default for LabelLabConfig {
    fn default() -> Self {
        Self {
            entity_kinds: vec!["issue".to_owned(), "log".to_owned()],
            legacy_teams: Vec::new(),
            trusted_networks: Vec::new(),
        }
    }
}

/// What the settings of LabelLab's chat mean.
#[derive(Debug, Default)]
pub(crate) struct LabelLabRules {
    pub(super) entity_kinds: Vec<EntityKind>,
    pub(super) legacy_teams: Vec<TeamId>,
    trusted_networks: Vec<IpNet>,
}

impl LabelLabConfig {
    /// Reads the settings; the error names the one that is wrong, and why.
    pub(crate) fn rules(&self) -> Result<LabelLabRules, (&'static str, huddle_domain::IdError)> {
        let kinds = self.entity_kinds.iter().map(|kind| EntityKind::parse(kind)).collect::<Result<_, _>>();
        let teams = self.legacy_teams.iter().map(|team| TeamId::parse(team)).collect::<Result<_, _>>();
        Ok(LabelLabRules {
            entity_kinds: kinds.map_err(|error| ("labellab.entity_kinds", error))?,
            legacy_teams: teams.map_err(|error| ("labellab.legacy_teams", error))?,
            trusted_networks: self.trusted_networks.clone(),
        })
    }
}

impl LabelLabRules {
    /// Whether a client at `peer` is let in without a token.
    pub(super) fn lets_in(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer.map(|peer| peer.to_canonical()) else { return false };
        let is_trusted = if self.trusted_networks.is_empty() {
            peer.is_loopback()
        } else {
            self.trusted_networks.iter().any(|network| network.contains(&peer))
        };
        !self.legacy_teams.is_empty() && is_trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets_in(teams: &[&str], networks: &[&str], peer: &str) -> bool {
        let config = LabelLabConfig {
            legacy_teams: teams.iter().map(ToString::to_string).collect(),
            trusted_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            ..LabelLabConfig::default()
        };
        config.rules().unwrap().lets_in(Some(peer.parse().unwrap()))
    }

    #[test]
    fn clients_without_a_token_are_let_in_for_named_teams_from_trusted_networks_only() {
        assert!(!lets_in(&[], &["0.0.0.0/0"], "127.0.0.1"), "off by default");
        assert!(lets_in(&["7"], &[], "127.0.0.1") && lets_in(&["7"], &[], "::1"));
        assert!(!lets_in(&["7"], &[], "10.0.0.1"));
        assert!(lets_in(&["7"], &["10.0.0.0/8"], "10.0.0.1") && lets_in(&["7"], &["10.0.0.0/8"], "::ffff:10.0.0.1"));
        assert!(!lets_in(&["7"], &["10.0.0.0/8"], "11.0.0.1"));
    }
}
