//! A call as every method meets it: who calls, until when, and the arguments that all methods read alike.

use std::time::{Duration, SystemTime};

use huddle_auth::{Identity, TokenError, Verifier, bearer_token};
use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tonic::{Request, metadata::MetadataMap};

use crate::Deadline;

/// The metadata key of the caller's token.
const AUTHORIZATION_METADATA: &str = "authorization";

/// Who calls, and until when the answer must be there.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub identity: Identity,
    /// Until when the answer must be there.
    pub deadline: Deadline,
}

impl Call {
    /// Reads token and deadline of `request`. A call without a good token is refused.
    pub fn open<T>(request: &Request<T>, verifier: &Verifier, time_max: Duration) -> Result<Self, Refusal> {
        let deadline = Deadline::of(request.metadata(), time_max);
        Ok(Self { identity: identify(request.metadata(), verifier)?, deadline })
    }

    /// Reads the argument `field`, a user whom only the service token may name unless it is the caller; empty = the
    /// caller.
    pub fn own_user(&self, field: &'static str, text: &str) -> Result<UserId, Refusal> {
        match &self.identity {
            Identity::User(token) if text.is_empty() => Ok(token.user.clone()),
            Identity::User(token) => {
                let user = user_id(field, text)?;
                if user == token.user {
                    Ok(user)
                } else {
                    Err(Refusal::new(ErrorCode::Forbidden, format!("`{field}`: another user needs the service token")))
                }
            }
            Identity::Service => user_id(field, text),
        }
    }

    /// Makes sure that the caller shows the service token.
    pub fn require_service(&self) -> Result<(), Refusal> {
        match self.identity {
            Identity::Service => Ok(()),
            Identity::User(_) => Err(Refusal::new(ErrorCode::Forbidden, "this call takes the service token only")),
        }
    }
}

fn identify(metadata: &MetadataMap, verifier: &Verifier) -> Result<Identity, Refusal> {
    let token = metadata.get(AUTHORIZATION_METADATA).and_then(|value| value.to_str().ok()).and_then(bearer_token);
    let Some(token) = token else {
        return Err(Refusal::new(ErrorCode::InvalidToken, "the call needs `authorization: Bearer <token>`"));
    };
    verifier.verify_bearer(token, SystemTime::now()).map_err(|error| {
        let code = match error {
            TokenError::Expired => ErrorCode::TokenExpired,
            TokenError::Revoked => ErrorCode::TokenRevoked,
            _ => ErrorCode::InvalidToken,
        };
        Refusal::new(code, error.to_string())
    })
}

/// Reads the argument `team`.
pub fn team_id(text: &str) -> Result<TeamId, Refusal> {
    TeamId::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`team`: {error}")))
}

/// Reads the argument `field`, a user's id.
pub fn user_id(field: &'static str, text: &str) -> Result<UserId, Refusal> {
    UserId::parse(text).map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`{field}`: {error}")))
}

/// Reads the argument `field`, a position. The highest is 2^63 - 1: logs and stores count no further.
pub fn position(field: &'static str, seq: u64) -> Result<Seq, Refusal> {
    if i64::try_from(seq).is_ok() {
        Ok(Seq::new(seq))
    } else {
        Err(Refusal::new(ErrorCode::InvalidArgument, format!("`{field}`: no position is that high")))
    }
}

/// Reads the argument `limit` of a page: `default` for 0, and never above `max`.
pub fn page_limit(limit: u32, default: u32, max: u32) -> Result<u32, Refusal> {
    match limit {
        0 => Ok(default),
        limit if limit <= max => Ok(limit),
        _ => Err(Refusal::new(ErrorCode::InvalidArgument, format!("`limit` is at most {max}"))),
    }
}
