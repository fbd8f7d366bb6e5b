//! What is answered when there is nothing to show, as LabelLab's clients know it.

use std::fmt;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use serde::Serialize;

/// When to come back after something was unavailable, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Problem {
    /// It came without a token.
    NoToken,
    /// Anything else.
    Refused(Refusal),
}

/// The body of LabelLab's failures.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    success: bool,
    msg: &'a str,
}

/// The body of its failures about tokens.
#[derive(Debug, Serialize)]
struct TokenFailure {
    message: &'static str,
    error: &'static str,
}

impl<'a> Failure<'a> {
    pub(super) fn new(msg: &'a str) -> Self {
        Self { success: false, msg }
    }
}

impl Problem {
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::NoToken => ErrorCode::InvalidToken,
            Self::Refused(refusal) => refusal.code,
        }
    }

    fn token_failure(&self) -> Option<TokenFailure> {
        let (message, error) = match (self, self.code()) {
            (Self::NoToken, _) => ("Request does not contain an access token.", "authorization_required"),
            (_, ErrorCode::TokenExpired) => ("The token has expired.", "token_expired"),
            (_, ErrorCode::TokenRevoked) => ("The token has been revoked.", "token_revoked"),
            (_, ErrorCode::InvalidToken | ErrorCode::HelloRequired) => ("The token is not valid.", "invalid_token"),
            _ => return None,
        };
        Some(TokenFailure { message, error })
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("there is no token"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl actix_web::ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self.code() {
            ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            code => StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        match (self.token_failure(), self) {
            (Some(failure), _) => response.insert_header((header::WWW_AUTHENTICATE, "Bearer")).json(failure),
            (None, Self::Refused(refusal)) => response.json(Failure::new(&refusal.message)),
            (None, Self::NoToken) => response.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError as _, body::to_bytes};

    use super::*;

    #[actix_web::test]
    async fn each_problem_has_the_status_and_the_body_that_clients_know() {
        let refused = |code| Problem::Refused(Refusal::new(code, "why"));
        let token = |error| (401, "message", error);
        let other = |status| (status, "msg", "why");
        for (problem, (status, key, text)) in [
            (Problem::NoToken, token("authorization_required")),
            (refused(ErrorCode::InvalidToken), token("invalid_token")),
            (refused(ErrorCode::TokenExpired), token("token_expired")),
            (refused(ErrorCode::TokenRevoked), token("token_revoked")),
            (refused(ErrorCode::NotFound), other(404)),
            (refused(ErrorCode::InvalidArgument), other(400)),
            (refused(ErrorCode::Unavailable), other(503)),
            (refused(ErrorCode::NotYetStored), other(503)),
            (refused(ErrorCode::Overloaded), other(503)),
            (refused(ErrorCode::Internal), other(500)),
        ] {
            let response = problem.error_response();
            assert_eq!(response.status().as_u16(), status, "{problem}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401, "{problem}");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{problem}");
            let body = to_bytes(response.into_body()).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(body[key].is_string() && body.as_object().unwrap().len() == 2, "{body}");
            if status == 401 {
                assert_eq!(body["error"], text);
            } else {
                assert_eq!(body, serde_json::json!({ "success": false, "msg": text }));
            }
        }
    }
}
