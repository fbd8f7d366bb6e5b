//! `hello`: who the client is, at first and again with a fresh token.

use std::time::{Duration, SystemTime};

use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, ErrorCode, Hello, Welcome, server_frame::Content},
};

use crate::{
    connection::{Connection, Identity, ReplyTo, token_refusal},
    core::Core,
};

/// Answers a `hello`. A token that is refused closes the connection; so does one of another user on a live connection.
pub(super) fn hello(core: &Core, connection: &Connection, reply_to: ReplyTo, hello: &Hello) {
    let now = SystemTime::now();
    let token = match core.verifier.verify_user(&hello.token, now) {
        Ok(token) => token,
        Err(error) => return reject(connection, reply_to, token_refusal(error)),
    };
    let is_other_user = connection.user().is_some_and(|user| user != token.user);
    if is_other_user {
        let message = "the token belongs to another user than the connection";
        return reject(connection, reply_to, Refusal::new(ErrorCode::InvalidToken, message));
    }
    let identity = Identity::new(token, now);
    let welcome = Welcome {
        user: identity.user.to_string(),
        token_expires_time_ms: identity.expires_time_ms,
        heartbeat_interval_ms: millis_u32(core.config.heartbeat),
        frame_bytes_max: u32::try_from(core.config.frame_max.as_u64()).unwrap_or(u32::MAX),
        subscriptions_max: u32::try_from(core.config.subscriptions_per_connection_max).unwrap_or(u32::MAX),
    };
    connection.identify(identity);
    connection.reply(reply_to, Content::Welcome(welcome));
}

fn reject(connection: &Connection, reply_to: ReplyTo, refusal: Refusal) {
    connection.refuse(reply_to, refusal);
    connection.close(CloseCode::Unauthenticated, "the token is refused");
}

fn millis_u32(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
