//! The verifier: header, signature, claims, in this order. The claims are judged here and not by the JWT library, which asks
//! the system's clock.

use std::{fmt, sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use huddle_domain::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::{Revocations, TokenError, VerifierError, VerifierOptions, claims, header};

/// The algorithm of the one kind of key that there is, a shared secret. The header must name it too, but does not choose it.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Longest token, in bytes: below the 8 KiB at which proxies begin to refuse a header.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024 - 1;

/// Longest id of a token (`jti`), in bytes.
pub const JTI_BYTES_MAX: usize = 128;

/// Who shows a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// One of the services or a back end, which may act for every user.
    Service,
    /// A user.
    User(UserToken),
}

/// A user token that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToken {
    /// The user.
    pub user: UserId,
    /// When the token ends (`exp`), without leeway.
    pub expires_at: SystemTime,
    /// The user's name (`name`), if the token has one: as it came, unchecked.
    pub name: Option<String>,
    /// The token's own id (`jti`), for [`Verifier::is_revoked`]. `None` when it has none: such a token cannot be revoked. Also
    /// `None` when it has none of 1 to [`JTI_BYTES_MAX`] bytes; where a list is configured, such a token is refused.
    pub jti: Option<Arc<str>>,
}

/// Checks tokens. Make one per process and share it.
pub struct Verifier {
    options: VerifierOptions,
    user_key: Option<DecodingKey>,
    revocations: Option<Revocations>,
}

impl Verifier {
    /// Takes the options after checking them.
    pub fn new(options: VerifierOptions) -> Result<Self, VerifierError> {
        options.check()?;
        let user_key = options.secret.as_ref().map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        Ok(Self { options, user_key, revocations: None })
    }

    /// From now on refuses user tokens whose id is in `revocations`, whatever is put there later, and those with an id that
    /// no list could hold. Tokens without an id are accepted as before.
    #[must_use]
    pub fn with_revocations(self, revocations: Revocations) -> Self {
        Self { revocations: Some(revocations), ..self }
    }

    /// Takes the shared service token or a user token; `bearer` is the bare token, see [`bearer_token`].
    pub fn verify_bearer(&self, bearer: &str, now: SystemTime) -> Result<Identity, TokenError> {
        if self.is_service_token(bearer) {
            return Ok(Identity::Service);
        }
        self.verify_user(bearer, now).map(Identity::User)
    }

    /// Takes a user token only. `now` is the present; the leeway of the options is added here.
    pub fn verify_user(&self, token: &str, now: SystemTime) -> Result<UserToken, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let key = self.user_key.as_ref().ok_or(TokenError::NotAccepted)?;
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        header::check(header)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        match crypto::verify(signature, signed.as_bytes(), key, ALGORITHM) {
            Ok(true) => {}
            Ok(false) => return Err(TokenError::Signature),
            Err(_) => return Err(TokenError::Malformed),
        }
        let claims = part(payload)?;
        let token = claims::check(&claims, &self.options, now)?;
        if self.revocations.is_some() && claims::has_unfit_jti(&claims) {
            return Err(TokenError::Jti);
        }
        if self.is_revoked(&token) {
            return Err(TokenError::Revoked);
        }
        Ok(token)
    }

    /// Whether a token that was good has been revoked meanwhile. Takes no time to speak of, so that whoever keeps a
    /// connection open may ask at every heartbeat.
    pub fn is_revoked(&self, token: &UserToken) -> bool {
        match (&self.revocations, &token.jti) {
            (Some(revocations), Some(jti)) => revocations.contains(jti),
            _ => false,
        }
    }

    /// Compares in a time that depends on the lengths only, not on how much of the token is right.
    fn is_service_token(&self, bearer: &str) -> bool {
        let expected = self.options.service_token.as_ref();
        expected.is_some_and(|expected| bearer.as_bytes().ct_eq(expected.as_bytes()).into())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("options", &self.options)
            .field("revocations", &self.revocations)
            .finish_non_exhaustive()
    }
}

/// Returns the token of an `Authorization` header's value (`Bearer <token>`), and `None` when it holds none.
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Reads a part of a token as the JSON object that it must be.
pub(crate) fn part(encoded: &str) -> Result<Map<String, Value>, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}
