//! Why a call fails: what the caller is told, and what the log needs to know.

use std::error::Error;

use huddle_domain::Seq;
use huddle_log::LogError;
use huddle_proto::{Refusal, STORED_SEQ_METADATA, gateway::v1::ErrorCode};
use huddle_store::StoreError;
use tonic::{Code, Status, metadata::MetadataValue};

/// Why a call fails. What went wrong inside is for the log and never part of the answer.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct CallError {
    refusal: Refusal,
    stored: Option<Seq>,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl CallError {
    /// The position asked for is not stored; the partition is stored up to `stored`.
    pub fn not_yet_stored(stored: Seq) -> Self {
        let refusal = Refusal::new(ErrorCode::NotYetStored, "the position asked for is not stored yet; retry");
        Self { refusal, stored: Some(stored), cause: None }
    }

    /// The refusal `code` with `message` for the caller and `cause` for the log.
    pub fn caused(code: ErrorCode, message: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { refusal: Refusal::new(code, message), stored: None, cause: Some(cause.into()) }
    }

    /// How far the partition is stored, of an error that says that the position asked for is not.
    pub const fn stored(&self) -> Option<Seq> {
        self.stored
    }

    /// The reason, from the closed set.
    pub const fn code(&self) -> ErrorCode {
        self.refusal.code
    }

    /// Turns into the answer. This is where the failure is logged, once: what broke inside as an error, what could
    /// not be reached as a warning, the caller's own mistakes not at all.
    pub fn into_status(self, method: &'static str) -> Status {
        if let Some(cause) = &self.cause {
            let cause = chain(&**cause);
            match self.refusal.code {
                ErrorCode::Internal => tracing::error!(method, cause, "call failed"),
                code => tracing::warn!(method, code = code.as_str_name(), cause, "call failed"),
            }
        }
        let mut status = Status::from(self.refusal);
        if let Some(stored) = self.stored {
            status.metadata_mut().insert(STORED_SEQ_METADATA, MetadataValue::from(stored.get()));
        }
        status
    }

    /// The gRPC code of the answer.
    pub fn grpc_code(&self) -> Code {
        self.refusal.code.grpc_code()
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, stored: None, cause: None }
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Behind { stored } = error {
            Self::not_yet_stored(stored)
        } else if error.is_retryable() {
            Self::caused(ErrorCode::Unavailable, "the store cannot be reached; retry", error)
        } else {
            Self::caused(ErrorCode::Internal, "something went wrong in the store", error)
        }
    }
}

impl From<LogError> for CallError {
    fn from(error: LogError) -> Self {
        if error.is_retryable() {
            Self::caused(ErrorCode::Unavailable, "the log cannot be reached; retry", error)
        } else {
            Self::caused(ErrorCode::Internal, "something went wrong in the log", error)
        }
    }
}

/// The error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_inside_is_not_in_the_answer() {
        let error = StoreError::Unavailable { context: "list_events", source: "password=hunter2".into() };
        let status = CallError::from(error).into_status("ListEvents");
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    #[test]
    fn a_position_that_is_not_stored_is_refused_with_the_one_that_is() {
        let status = CallError::not_yet_stored(Seq::new(41)).into_status("ListEvents");
        assert_eq!(status.metadata().get(STORED_SEQ_METADATA).unwrap(), "41");
        assert_eq!(Refusal::from_status(&status).code, ErrorCode::NotYetStored);
    }
}
