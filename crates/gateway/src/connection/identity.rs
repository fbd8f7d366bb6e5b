//! Who a connection is, since it has shown a token, and for how long.

use std::time::{Duration, SystemTime};

use huddle_auth::{TokenError, UserToken, Verifier};
use huddle_domain::{UnixMillis, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::time::Instant;

/// Tokens that live longer than this are treated as if they did not: the clock of the timers ends somewhere.
const LIFETIME_MAX: Duration = Duration::from_hours(365 * 24);
/// How long before a token's expiry the client is warned.
const EXPIRY_WARNING: Duration = Duration::from_mins(1);

/// Who a connection is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    /// Milliseconds since 1970.
    pub(crate) expires_time_ms: i64,
    token: UserToken,
    expires: Instant,
    /// Whether the client has been warned of the expiry.
    warned: bool,
}

/// What is due at a moment in an identity's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// To be told once: the token expires soon.
    Warning,
    /// The token has expired.
    Expired,
    /// The token has been revoked since it was shown.
    Revoked,
}

impl Identity {
    /// The identity that `token`, which has been verified at the time `now`, gives.
    pub(crate) fn new(token: UserToken, now: SystemTime) -> Self {
        let lifetime = token.expires_at.duration_since(now).unwrap_or_default().min(LIFETIME_MAX);
        Self {
            user: token.user.clone(),
            expires_time_ms: UnixMillis::from(token.expires_at).0,
            expires: Instant::now() + lifetime,
            token,
            warned: false,
        }
    }

    /// When to [look](Self::due) again, if nothing else is a reason to.
    pub(crate) fn next_deadline(&self) -> Instant {
        if self.warned { self.expires } else { self.expires.checked_sub(EXPIRY_WARNING).unwrap_or(self.expires) }
    }

    /// What is due now.
    pub(crate) fn due(&mut self, verifier: &Verifier) -> Due {
        let now = Instant::now();
        if now >= self.expires {
            return Due::Expired;
        }
        if verifier.is_revoked(&self.token) {
            return Due::Revoked;
        }
        if !self.warned && now >= self.next_deadline() {
            self.warned = true;
            return Due::Warning;
        }
        Due::Nothing
    }
}

/// What a client is told about a token that is refused, on every protocol alike.
pub(crate) fn token_refusal(error: TokenError) -> Refusal {
    let code = match error {
        TokenError::Expired => ErrorCode::TokenExpired,
        TokenError::Revoked => ErrorCode::TokenRevoked,
        _ => ErrorCode::InvalidToken,
    };
    Refusal::new(code, error.to_string())
}
