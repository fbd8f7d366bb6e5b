//! Makes user tokens, for development and tests. In production the application that knows its users makes them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use huddle_domain::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

use crate::{VerifierError, VerifierOptions, claims::Claims};

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// `now` or the end of the token is outside the times that a token can name.
    #[error("the token's start or end is out of range")]
    Time,
    /// The signing library refused.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Makes tokens that a [`Verifier`](crate::Verifier) with the same options accepts.
pub struct Minter {
    options: VerifierOptions,
    key: EncodingKey,
}

impl Minter {
    /// Takes the options, which must hold a signing secret.
    pub fn new(options: VerifierOptions) -> Result<Self, VerifierError> {
        options.check()?;
        let secret = options.secret.as_ref().ok_or(VerifierError::NoSecret)?;
        let key = EncodingKey::from_secret(secret.as_bytes());
        Ok(Self { options, key })
    }

    /// Makes a token of `user`, valid from `now` for `ttl` (whole seconds), HS256. `name` is the user's display name.
    pub fn mint(&self, user: &UserId, name: Option<&str>, ttl: Duration, now: SystemTime) -> Result<String, MintError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| MintError::Time)?.as_secs();
        let end = now.checked_add(ttl.as_secs()).ok_or(MintError::Time)?;
        let mut claims = Claims::new();
        let mut set = |claim: &str, value: Value| claims.insert(claim.to_owned(), value);
        set(&self.options.user_claim, user.as_str().into());
        set("iat", now.into());
        set("nbf", now.into());
        set("exp", end.into());
        for (claim, value) in
            [("name", name), ("iss", self.options.issuer.as_deref()), ("aud", self.options.audience.as_deref())]
        {
            if let Some(value) = value {
                set(claim, value.into());
            }
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key).map_err(MintError::Sign)
    }
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minter").field("options", &self.options).finish_non_exhaustive()
    }
}
