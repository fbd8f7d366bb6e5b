//! The section `auth`: who is let in.

use std::{path::PathBuf, time::Duration};

use huddle_auth::{LEEWAY_MAX, VerifierOptions};
use huddle_service::config::{Secret, duration};
use serde::{Deserialize, Serialize};

/// Which tokens are accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthConfig {
    pub(crate) secret: Option<Secret>,
    pub(crate) service_token: Option<Secret>,
    pub(crate) user_claim: String,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    #[serde(with = "duration")]
    pub(crate) leeway: Duration,
    pub(crate) revoked_file: Option<PathBuf>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            service_token: None,
            user_claim: "sub".to_owned(),
            issuer: None,
            audience: None,
            leeway: LEEWAY_MAX,
            revoked_file: None,
        }
    }
}

impl AuthConfig {
    /// The same as the verifier takes it.
    pub(crate) fn verifier_options(&self) -> VerifierOptions {
        let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        VerifierOptions {
            secret: text(&self.secret),
            service_token: text(&self.service_token),
            user_claim: self.user_claim.clone(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway,
        }
    }
}
