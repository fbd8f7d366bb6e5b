//! Why a connection cannot be had, and why a request fails.

use std::time::Duration;

use huddle_proto::{Refusal, gateway::v1::ErrorCode};

use crate::{Disconnect, Reconnect};

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one of a gateway.
    #[error("`{url}` is not an address of a gateway: {problem}")]
    InvalidUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody answers there.
    #[error("the gateway at `{url}` cannot be reached: {problem}")]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The address answers, and it is not with a WebSocket.
    #[error("`{url}` answered with HTTP status {status} instead of a WebSocket")]
    NotAWebSocket {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The gateway took too long.
    #[error("the gateway at `{url}` did not answer within {} s", waited.as_secs())]
    TimedOut {
        /// The address.
        url: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The gateway refused the `hello`.
    #[error("the gateway refused the token: {0}")]
    Refused(Refusal),
    /// The connection ended before the gateway had answered the `hello`.
    #[error(transparent)]
    Ended(#[from] Disconnect),
}

/// HTTP statuses after which another attempt can succeed: overload and the errors of servers and proxies.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

impl ConnectError {
    /// What to do about it.
    pub fn reconnect(&self) -> Reconnect {
        match self {
            Self::InvalidUrl { .. } => Reconnect::Never,
            Self::NotAWebSocket { status, .. } if !is_passing(*status) => Reconnect::Never,
            Self::Refused(refusal) if !refusal.code.is_retryable() => Reconnect::Never,
            Self::Unreachable { .. } | Self::NotAWebSocket { .. } | Self::TimedOut { .. } | Self::Refused(_) => {
                Reconnect::AfterWait
            }
            Self::Ended(disconnect) => match disconnect.reconnect() {
                // No connection came about, so the next attempt would fare no better at once.
                Reconnect::AtOnce => Reconnect::AfterWait,
                other => other,
            },
        }
    }
}

/// Why a request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The gateway refused it.
    #[error(transparent)]
    Refused(Refusal),
    /// The connection ended first: the outcome is unknown.
    #[error("there was no reply: {0}")]
    Disconnected(Disconnect),
    /// No reply came in time: the outcome is unknown.
    #[error("there was no reply within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The reply is not one to this request: the outcome is unknown.
    #[error("the gateway's reply does not fit the request")]
    UnexpectedReply,
}

impl RequestError {
    /// Whether the same request, under the same `client_id`, can succeed on this or another connection.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.code.is_retryable(),
            Self::Disconnected(_) | Self::TimedOut(_) => true,
            Self::UnexpectedReply => false,
        }
    }

    /// The code of the gateway's refusal; `None` when it is none.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Disconnected(_) | Self::TimedOut(_) | Self::UnexpectedReply => None,
        }
    }
}
