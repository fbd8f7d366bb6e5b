//! What the server says to a publish.

use async_nats::jetstream::ErrorCode;
use huddle_domain::Seq;
use serde::Deserialize;

use crate::retry::Cause;

/// The server's reply, taken apart.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Stored up to `last`, or there already.
    Ack {
        last: Seq,
        duplicate: bool,
        /// Events of the batch; `None` when the server took the publish for a plain one.
        count: Option<u64>,
    },
    /// Not stored.
    Error { code: u64, err_code: ErrorCode, description: String },
    /// Neither, as far as this version can tell.
    Unreadable,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    count: Option<u64>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    code: u64,
    #[serde(default)]
    err_code: ErrorCode,
    #[serde(default)]
    description: String,
}

/// What follows from a refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The batch holds something that the server refuses in a batch: smaller ones tell what.
    Divide,
    /// The subject has messages.
    NotFirst,
    /// No room. Nothing was stored.
    Full,
    /// Nothing was stored by this attempt, and another may succeed.
    Again(Cause),
    /// Never.
    Never(String),
}

impl Reply {
    pub(crate) fn parse(payload: &[u8]) -> Self {
        match serde_json::from_slice::<Wire>(payload) {
            Ok(Wire { error: Some(WireError { code, err_code, description }), .. }) => {
                Self::Error { code, err_code, description }
            }
            Ok(Wire { seq, duplicate, count, error: None }) if seq > 0 => {
                Self::Ack { last: Seq::new(seq), duplicate, count }
            }
            Ok(_) | Err(_) => Self::Unreadable,
        }
    }

    /// Whether the leader refuses because the publish names another stream.
    pub(crate) fn is_wrong_stream(&self) -> bool {
        matches!(self, Self::Error { err_code: ErrorCode::STREAM_NOT_MATCH, .. })
    }

    /// Whether the leader refuses because no message is small enough for it.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Error { err_code: ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, .. })
    }
}

/// Judges a refusal of a publish of one event, or of several as a batch.
pub(super) fn judge(code: u64, err_code: ErrorCode, description: &str, is_batch: bool) -> Refusal {
    match err_code {
        ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE
        | ErrorCode::ATOMIC_PUBLISH_TOO_LARGE_BATCH
        | ErrorCode::ATOMIC_PUBLISH_DISABLED
            if is_batch =>
        {
            Refusal::Divide
        }
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Refusal::NotFirst,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => Refusal::Full,
        // The server has one code for every failure of its store.
        ErrorCode::STREAM_STORE_FAILED if description.starts_with("maximum ") => Refusal::Full,
        // Every event of ours is small enough: the stream is fenced while it is advanced.
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Refusal::Again(Cause::new("the partition refuses publishes")),
        // A batch whose first part went to another leader, and other things of the moment.
        ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH
        | ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT
        | ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT
        | ErrorCode::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY
        | ErrorCode::STREAM_TOO_MANY_REQUESTS => Refusal::Again(Cause::new(description)),
        _ if code >= 500 => Refusal::Again(Cause::new(description)),
        _ if is_batch => Refusal::Divide,
        _ => Refusal::Never(format!("{description} (NATS error {})", err_code.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let reply = |text: &str| Reply::parse(text.as_bytes());
        assert!(matches!(
            reply(r#"{"stream":"S","seq":7,"batch":"B","count":2}"#),
            Reply::Ack { last, duplicate: false, count: Some(2) } if last == Seq::new(7)
        ));
        assert!(matches!(reply(r#"{"stream":"S","seq":7,"duplicate": true}"#), Reply::Ack { duplicate: true, .. }));
        assert!(matches!(
            reply(r#"{"error":{"code":400,"err_code":10201,"description":"d"},"stream":"S","seq":0}"#),
            Reply::Error { code: 400, err_code: ErrorCode(10201), .. }
        ));
        for text in ["", "{}", "[]", r#"{"seq":0}"#] {
            assert!(matches!(reply(text), Reply::Unreadable), "{text}");
        }
    }

    #[test]
    fn refusals_are_judged_by_what_helps() {
        assert!(matches!(judge(400, ErrorCode(10201), "", true), Refusal::Divide));
        assert!(matches!(judge(400, ErrorCode(10071), "", false), Refusal::NotFirst));
        assert!(matches!(judge(503, ErrorCode(10077), "maximum bytes exceeded", true), Refusal::Full));
        assert!(matches!(judge(503, ErrorCode(10077), "disk broken", true), Refusal::Again(_)));
        assert!(matches!(judge(400, ErrorCode(10176), "", true), Refusal::Again(_)));
        assert!(matches!(judge(503, ErrorCode(10008), "", false), Refusal::Again(_)));
        assert!(matches!(judge(400, ErrorCode(10054), "", true), Refusal::Again(_)));
        assert!(matches!(judge(400, ErrorCode(10054), "", false), Refusal::Again(_)));
        assert!(matches!(judge(400, ErrorCode(10099), "", true), Refusal::Divide));
        assert!(matches!(judge(400, ErrorCode(10099), "", false), Refusal::Never(_)));
    }
}
