//! Why a connection ended, and what that says about the next one.

/// Close codes in this range: reconnect at once (`CloseCode` in `error.proto`).
const RECONNECT_AT_ONCE: std::ops::RangeInclusive<u16> = 4000..=4099;
/// Close codes in this range: do not reconnect before something is changed.
const DO_NOT_RECONNECT: std::ops::RangeInclusive<u16> = 4400..=4499;
/// The standard close code after a frame above the limit: as [`DO_NOT_RECONNECT`].
const TOO_LARGE: u16 = 1009;

/// Close codes that readers get who take too long: their outbox is full, or they do not even answer pings.
const SLOW: [u16; 2] = [4000, 4001];

/// Why a connection ended. The texts hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The gateway closed it.
    #[error("the gateway closed the connection with code {code}{}", parenthesised(reason))]
    Closed {
        /// The close code; 1005 when the gateway gave none.
        code: u16,
        /// The gateway's words; may be empty.
        reason: String,
    },
    /// The gateway was silent for longer than the heartbeat allows.
    #[error("the gateway was silent for too long")]
    Silent,
    /// The transport broke.
    #[error("the connection broke: {problem}")]
    Broken {
        /// What went wrong.
        problem: String,
    },
    /// The gateway sent something that is not of this protocol.
    #[error("the gateway broke the protocol: {problem}")]
    Protocol {
        /// What was wrong with it.
        problem: String,
    },
    /// This side closed it.
    #[error("the connection was closed by this side")]
    ClosedHere,
}

/// What a client does about a connection that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again at once, unless that was tried just now.
    AtOnce,
    /// Connect again after a wait that grows, or after the one that `go_away` told.
    AfterWait,
    /// Something must be changed first: the token, the client, the request.
    Never,
}

impl Disconnect {
    /// Whether it may be that this side did not read fast enough.
    pub(crate) fn is_of_slow_reader(&self) -> bool {
        matches!(self, Self::Closed { code, .. } if SLOW.contains(code))
    }

    /// What to do about it.
    pub fn reconnect(&self) -> Reconnect {
        match self {
            Self::Closed { code, .. } if RECONNECT_AT_ONCE.contains(code) => Reconnect::AtOnce,
            Self::Closed { code, .. } if *code == TOO_LARGE || DO_NOT_RECONNECT.contains(code) => Reconnect::Never,
            Self::Closed { .. } => Reconnect::AfterWait,
            Self::Silent | Self::Broken { .. } => Reconnect::AtOnce,
            Self::Protocol { .. } | Self::ClosedHere => Reconnect::Never,
        }
    }
}

fn parenthesised(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_say_by_their_range_whether_to_reconnect() {
        let cases = [
            (1000, Reconnect::AfterWait),
            (1006, Reconnect::AfterWait),
            (1009, Reconnect::Never),
            (1012, Reconnect::AfterWait),
            (4000, Reconnect::AtOnce),
            (4099, Reconnect::AtOnce),
            (4100, Reconnect::AfterWait),
            (4199, Reconnect::AfterWait),
            (4400, Reconnect::Never),
            (4401, Reconnect::Never),
            (4499, Reconnect::Never),
        ];
        for (code, expected) in cases {
            assert_eq!(Disconnect::Closed { code, reason: String::new() }.reconnect(), expected, "{code}");
        }
    }
}
