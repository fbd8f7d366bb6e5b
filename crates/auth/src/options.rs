//! What a verifier is made from, and which of it is refused.

use std::{fmt, time::Duration};

/// Fewest bytes of a signing secret and of the service token: as many as HS256's digest has (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Most that the clocks of issuer and verifier may differ.
pub const LEEWAY_MAX: Duration = Duration::from_mins(1);

/// What a [`Verifier`](crate::Verifier) accepts.
#[derive(Clone)]
pub struct VerifierOptions {
    /// Signs and checks user tokens (HS256). At least [`SECRET_BYTES_MIN`] bytes. `None`: no user tokens.
    pub secret: Option<String>,
    /// The token that services show each other. At least [`SECRET_BYTES_MIN`] bytes. `None`: no service tokens.
    pub service_token: Option<String>,
    /// The claim that holds the user's id. Default: `sub`.
    pub user_claim: String,
    /// The `iss` that a user token must have. `None`: any or none.
    pub issuer: Option<String>,
    /// The audience that `aud` must name. `None`: a token that names any audience is refused, as RFC 7519, section 4.1.3
    /// demands.
    pub audience: Option<String>,
    /// How long a token is accepted after `exp` and before `nbf`, because clocks differ. At most and by default
    /// [`LEEWAY_MAX`].
    pub leeway: Duration,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self {
            secret: None,
            service_token: None,
            user_claim: "sub".to_owned(),
            issuer: None,
            audience: None,
            leeway: LEEWAY_MAX,
        }
    }
}

impl fmt::Debug for VerifierOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |secret: &Option<String>| secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("VerifierOptions")
            .field("secret", &shown(&self.secret))
            .field("service_token", &shown(&self.service_token))
            .field("user_claim", &self.user_claim)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway", &self.leeway)
            .finish()
    }
}

/// Why options are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// A secret or the service token is too short to withstand guessing.
    #[error(
        "`auth.{setting}` has {bytes} bytes and needs at least {SECRET_BYTES_MIN}; \
         make one with `openssl rand -base64 48`"
    )]
    TooShort {
        /// `secret` or `service_token`.
        setting: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Neither kind of token could ever be accepted.
    #[error("neither `auth.secret` nor `auth.service_token` is set; make one with `openssl rand -base64 48`")]
    NothingAccepted,
    /// The service token travels with every call; a signing secret must not.
    #[error("`auth.secret` and `auth.service_token` are the same; make another with `openssl rand -base64 48`")]
    SameSecret,
    /// The claim has no name.
    #[error("`auth.user_claim` is empty; the usual claim is \"sub\"")]
    NoUserClaim,
    /// Too much tolerance.
    #[error("`auth.leeway` is {leeway:?}, more than {LEEWAY_MAX:?}")]
    Leeway {
        /// As configured.
        leeway: Duration,
    },
    /// A minter needs the signing secret.
    #[error(
        "`auth.secret` is not set, and user tokens cannot be signed without it; make one with `openssl rand -base64 48`"
    )]
    NoSecret,
}

impl VerifierOptions {
    pub(crate) fn check(&self) -> Result<(), VerifierError> {
        for (setting, secret) in [("secret", &self.secret), ("service_token", &self.service_token)] {
            if let Some(secret) = secret
                && secret.len() < SECRET_BYTES_MIN
            {
                return Err(VerifierError::TooShort { setting, bytes: secret.len() });
            }
        }
        if self.secret.is_none() && self.service_token.is_none() {
            return Err(VerifierError::NothingAccepted);
        }
        if self.secret == self.service_token {
            return Err(VerifierError::SameSecret);
        }
        if self.user_claim.is_empty() {
            return Err(VerifierError::NoUserClaim);
        }
        if self.leeway > LEEWAY_MAX {
            return Err(VerifierError::Leeway { leeway: self.leeway });
        }
        Ok(())
    }
}
