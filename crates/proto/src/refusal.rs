//! A refusal: one code of the closed set with a sentence for people, and its mapping to gRPC and HTTP.

use std::borrow::Cow;

use tonic::{Code, Status, metadata::MetadataValue};

use crate::gateway::v1::{Error, ErrorCode};

/// The gRPC metadata key that carries the name of the [`ErrorCode`] of a failed call.
pub const ERROR_CODE_METADATA: &str = "huddle-error-code";

/// The gRPC metadata key that says how far a partition is stored, when a read asked for more.
pub const STORED_SEQ_METADATA: &str = "huddle-stored-seq";

/// Why a request is refused. The message is for the caller: it holds no secrets and no message bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.as_str_name())]
pub struct Refusal {
    /// The reason, from the closed set.
    pub code: ErrorCode,
    /// One sentence for people.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal for the reason `code`.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The refusal that another service answered with.
    pub fn from_status(status: &Status) -> Self {
        let code = status
            .metadata()
            .get(ERROR_CODE_METADATA)
            .and_then(|value| value.to_str().ok())
            .and_then(ErrorCode::from_str_name)
            .unwrap_or(match status.code() {
                // What the transport itself answers when the other side cannot be reached, goes away, or is too slow.
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => ErrorCode::Unavailable,
                _ if std::error::Error::source(status).is_some() => ErrorCode::Unavailable,
                // What a server answers for the transport when too many calls are under way on the connection.
                Code::ResourceExhausted => ErrorCode::Overloaded,
                _ => ErrorCode::Internal,
            });
        match code {
            // The words of a broken transport or of an inner error are for logs, not for clients.
            ErrorCode::Unavailable => Self::new(code, "a service that is needed cannot be reached; retry"),
            ErrorCode::Internal => Self::new(code, "something went wrong inside; retry"),
            _ => Self::new(code, status.message().to_owned()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.into(),
            message: refusal.message.into_owned(),
            retryable: refusal.code.is_retryable(),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut status = Self::new(refusal.code.grpc_code(), refusal.message.into_owned());
        status.metadata_mut().insert(ERROR_CODE_METADATA, MetadataValue::from_static(refusal.code.as_str_name()));
        status
    }
}

impl ErrorCode {
    /// Whether the same request can succeed later, under the same client_id.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Internal | Self::Unavailable | Self::Overloaded | Self::NotYetStored)
    }

    /// The gRPC code that goes with this one.
    pub fn grpc_code(self) -> Code {
        match self {
            Self::Unspecified | Self::Internal => Code::Internal,
            Self::Unavailable | Self::NotYetStored => Code::Unavailable,
            Self::Overloaded => Code::ResourceExhausted,
            Self::Malformed
            | Self::UnknownRequest
            | Self::TooLarge
            | Self::InvalidId
            | Self::InvalidBody
            | Self::InvalidName
            | Self::InvalidArgument => Code::InvalidArgument,
            Self::InvalidCursor => Code::OutOfRange,
            Self::HelloRequired | Self::InvalidToken | Self::TokenExpired | Self::TokenRevoked => Code::Unauthenticated,
            Self::NotFound => Code::NotFound,
            Self::Forbidden => Code::PermissionDenied,
            Self::TeamExists | Self::Conflict => Code::AlreadyExists,
            Self::TeamArchived
            | Self::LastOwner
            | Self::AlreadySubscribed
            | Self::NotSubscribed
            | Self::TooManySubscriptions => Code::FailedPrecondition,
        }
    }

    /// The HTTP status that goes with this one.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Unspecified | Self::Internal => 500,
            Self::Unavailable | Self::NotYetStored => 503,
            Self::Overloaded => 429,
            Self::Malformed
            | Self::UnknownRequest
            | Self::InvalidId
            | Self::InvalidBody
            | Self::InvalidName
            | Self::InvalidArgument
            | Self::InvalidCursor => 400,
            Self::TooLarge => 413,
            Self::HelloRequired | Self::InvalidToken | Self::TokenExpired | Self::TokenRevoked => 401,
            Self::NotFound => 404,
            Self::Forbidden => 403,
            Self::TeamArchived
            | Self::TeamExists
            | Self::LastOwner
            | Self::Conflict
            | Self::AlreadySubscribed
            | Self::NotSubscribed
            | Self::TooManySubscriptions => 409,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_crosses_grpc_unchanged() {
        let refusal = Refusal::new(ErrorCode::Conflict, "the client_id was used for something else");
        let status = Status::from(refusal.clone());
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(Refusal::from_status(&status), refusal);
    }

    #[test]
    fn a_broken_transport_is_retryable_and_says_nothing_of_its_inside() {
        let refusal = Refusal::from_status(&Status::unavailable("tcp connect error: 10.0.0.7:4000"));
        assert_eq!(refusal.code, ErrorCode::Unavailable);
        assert!(!refusal.message.contains("10.0.0.7"));
    }
}
