//! `hello`: who the client is, at first and again with a fresh token.

use std::time::{Duration, SystemTime};

use huddle_auth::{TokenError, UserToken};
use huddle_domain::UnixMillis;
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, ErrorCode, Hello, Welcome, server_frame::Content},
};
use tokio::time::Instant;

use super::{Connection, Identity};
use crate::core::Core;

/// Tokens that live longer than this are treated as if they did not: the clock of the timers ends somewhere.
const LIFETIME_MAX: Duration = Duration::from_hours(365 * 24);

/// Answers a `hello`. A token that is refused closes the connection; so does one of another user on a live connection.
pub(super) fn hello(core: &Core, connection: &Connection, id: String, hello: &Hello) {
    let now = SystemTime::now();
    let token = match core.verifier.verify_user(&hello.token, now) {
        Ok(token) => token,
        Err(error) => return reject(connection, id, token_refusal(error)),
    };
    let is_other_user = connection.user().is_some_and(|user| user != token.user);
    if is_other_user {
        let message = "the token belongs to another user than the connection";
        return reject(connection, id, Refusal::new(ErrorCode::InvalidToken, message));
    }
    let identity = identity(&token, now);
    let welcome = Welcome {
        user: token.user.to_string(),
        token_expires_time_ms: identity.expires_time_ms,
        heartbeat_interval_ms: millis_u32(core.config.heartbeat),
        frame_bytes_max: u32::try_from(core.config.frame_max.as_u64()).unwrap_or(u32::MAX),
        subscriptions_max: u32::try_from(core.config.subscriptions_per_connection_max).unwrap_or(u32::MAX),
    };
    *connection.identity.borrow_mut() = Some(identity);
    connection.reply(id, Content::Welcome(welcome));
}

/// What a client is told about a token that is refused, on every protocol alike.
pub(crate) fn token_refusal(error: TokenError) -> Refusal {
    let code = match error {
        TokenError::Expired => ErrorCode::TokenExpired,
        _ => ErrorCode::InvalidToken,
    };
    Refusal::new(code, error.to_string())
}

fn reject(connection: &Connection, id: String, refusal: Refusal) {
    connection.refuse(id, refusal);
    connection.close(CloseCode::Unauthenticated, "the token is refused");
}

fn identity(token: &UserToken, now: SystemTime) -> Identity {
    let lifetime = token.expires_at.duration_since(now).unwrap_or_default().min(LIFETIME_MAX);
    Identity {
        user: token.user.clone(),
        expires: Instant::now() + lifetime,
        expires_time_ms: UnixMillis::from(token.expires_at).0,
        warned: false,
    }
}

fn millis_u32(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
