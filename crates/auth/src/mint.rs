//! Makes user tokens, for development and tests. In production the application that knows its users makes them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use huddle_domain::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

use crate::{JTI_BYTES_MAX, VerifierError, VerifierOptions, claims::Claims};

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// `now` or the end of the token is outside the times that a token can name.
    #[error("the token's start or end is out of range")]
    Time,
    /// The token's id is empty or longer than [`JTI_BYTES_MAX`].
    #[error("the token's id needs 1 to {JTI_BYTES_MAX} bytes")]
    Jti,
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

    /// Makes a token of `user`, valid from `now` for `ttl` (whole seconds), HS256. `name` is the user's display name. The
    /// token has no id, so that it cannot be revoked.
    pub fn mint(&self, user: &UserId, name: Option<&str>, ttl: Duration, now: SystemTime) -> Result<String, MintError> {
        self.sign(&self.claims(user, name, ttl, now)?)
    }

    /// As [`mint`](Self::mint), with the id `jti`, by which the token can be revoked. No other token may ever have the same.
    pub fn mint_revocable(
        &self,
        jti: &str,
        user: &UserId,
        name: Option<&str>,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<String, MintError> {
        if !(1..=JTI_BYTES_MAX).contains(&jti.len()) {
            return Err(MintError::Jti);
        }
        let mut claims = self.claims(user, name, ttl, now)?;
        claims.insert("jti".to_owned(), jti.into());
        self.sign(&claims)
    }

    fn claims(&self, user: &UserId, name: Option<&str>, ttl: Duration, now: SystemTime) -> Result<Claims, MintError> {
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
        Ok(claims)
    }

    fn sign(&self, claims: &Claims) -> Result<String, MintError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.key).map_err(MintError::Sign)
    }
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minter").field("options", &self.options).finish_non_exhaustive()
    }
}
