//! Why the bus refuses or fails.

use crate::PAYLOAD_BYTES_MAX;

/// A failure of the bus. The texts hold nothing of a payload.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Nobody serves the peer: it is gone, or has not begun, or is on its way from one server of the bus to another. A peer
    /// that has been away for seconds does not come back: a gateway gets a new id at each start.
    #[error("nobody serves this peer")]
    NoPeer,
    /// The peer did not answer in time, or let go of the request. Whether it has handled it is unknown.
    #[error("the peer did not answer in time")]
    NoAnswer,
    /// The payload is larger than [`PAYLOAD_BYTES_MAX`], or than the server takes.
    #[error("the payload is too large for the bus, which takes {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge,
    /// The bus cannot be reached, or has no room. A retry helps.
    #[error("the bus cannot be used")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BusError {
    /// [`BusError::Unavailable`] because of `source`.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}
