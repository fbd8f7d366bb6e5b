//! Why a token is refused.

use huddle_domain::IdError;

/// Why a token is refused. The texts are safe to show to a client: they never repeat anything of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none: the text is empty.
    #[error("a token is needed")]
    Missing,
    /// Longer than [`TOKEN_BYTES_MAX`](crate::TOKEN_BYTES_MAX).
    #[error("the token is longer than {} bytes", crate::TOKEN_BYTES_MAX)]
    TooLong,
    /// Not three base64url parts of which the first two are JSON objects.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// Signed by another algorithm than the key's, or by none.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// The header points to a key of its own (`jku`, `x5u`, `jwk`, `x5c`), demands an extension (`crit`), or names its key
    /// by something that is no plain name.
    #[error("the token's header holds a parameter that is not allowed")]
    Header,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` is past.
    #[error("the token is expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// There is no `exp`.
    #[error("the token has no expiry time")]
    NoExpiry,
    /// `exp` or `nbf` is not a time.
    #[error("the token's expiry or start is not a time")]
    Time,
    /// `iss` is not the configured one.
    #[error("the token has another issuer")]
    Issuer,
    /// `aud` does not name the configured audience.
    #[error("the token is for another audience")]
    Audience,
    /// A refresh token (`type: "refresh"`), which opens nothing by itself.
    #[error("a refresh token is not accepted here")]
    RefreshToken,
    /// The claim that holds the user's id is missing.
    #[error("the token does not name a user")]
    NoUser,
    /// The claim that holds the user's id is neither a text nor a whole number.
    #[error("the token's user id is neither a text nor a whole number")]
    UserType,
    /// The user's id is not one.
    #[error("the token's user id is not valid: {0}")]
    UserId(#[source] IdError),
    /// The user's id is the one under which services act.
    #[error("the token's user id is reserved")]
    ReservedUser,
    /// Tokens can be revoked here, and this one's id (`jti`) could not be listed: it is no text of 1 to
    /// [`JTI_BYTES_MAX`](crate::JTI_BYTES_MAX) bytes.
    #[error("the token's id is not a text of 1 to {} bytes", crate::JTI_BYTES_MAX)]
    Jti,
    /// Right in every other way, but revoked before its end.
    #[error("the token is revoked")]
    Revoked,
    /// No key for user tokens is configured.
    #[error("user tokens are not accepted here")]
    NotAccepted,
}
