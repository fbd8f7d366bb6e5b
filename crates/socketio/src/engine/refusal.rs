//! Requests that are refused, in the words of Engine.IO.

use actix_web::{HttpResponse, http::StatusCode};
use serde::Serialize;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownTransport,
    UnknownSid,
    BadHandshakeMethod,
    BadRequest,
    UnsupportedVersion,
    /// More than a client may send in one body.
    TooLarge,
    /// No room for now. A retry helps.
    Unavailable,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::UnknownTransport,
        Self::UnknownSid,
        Self::BadHandshakeMethod,
        Self::BadRequest,
        Self::UnsupportedVersion,
        Self::TooLarge,
        Self::Unavailable,
    ];

    /// The number in the body; those that Engine.IO does not know begin at 100.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::UnsupportedVersion => 5,
            Self::TooLarge => 100,
            Self::Unavailable => 101,
        }
    }

    /// The refusal with this number; an unknown one is a bad request.
    pub(crate) fn from_code(code: u32) -> Self {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code).unwrap_or(Self::BadRequest)
    }

    fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::UnsupportedVersion => "Unsupported protocol version",
            Self::TooLarge => "Payload too large",
            Self::Unavailable => "No room for now, try again",
        }
    }

    pub(crate) fn response(self) -> HttpResponse {
        #[derive(Serialize)]
        struct Body {
            code: u32,
            message: &'static str,
        }
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = HttpResponse::build(status);
        if self == Self::Unavailable {
            response.insert_header((actix_web::http::header::RETRY_AFTER, "1"));
        }
        response.json(Body { code: self.code(), message: self.message() })
    }
}
