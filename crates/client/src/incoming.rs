//! What a gateway sends without being asked at that moment.

use std::time::Duration;

use huddle_domain::{Event, Seq, TeamId, UnixMillis};
use huddle_proto::Refusal;
use tokio::sync::mpsc;

use crate::Disconnect;

/// A frame that is no reply, or the end of the connection.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// The next event of a team that the connection subscribes to.
    Event(Event),
    /// The next event, of a kind that this version does not know. It counts for the cursor.
    UnknownEvent {
        /// The team.
        team: TeamId,
        /// The event's position.
        seq: Seq,
        /// The position of the event before it.
        prev_seq: Seq,
    },
    /// The catch-up of a subscription is over: the team's events from here on are live.
    CaughtUp {
        /// The team.
        team: TeamId,
        /// Everything up to this position has been sent.
        seq: Seq,
    },
    /// The second receipt: what this connection sent to the team is committed up to the position.
    Stored {
        /// The team.
        team: TeamId,
        /// The position, inclusive.
        seq: Seq,
    },
    /// A subscription ended without this side's asking.
    SubscriptionEnded {
        /// The team.
        team: TeamId,
        /// Why.
        refusal: Refusal,
    },
    /// The token expires soon: present a fresh one with [`Client::present_token`](crate::Client::present_token).
    TokenExpiring {
        /// When the connection will be closed.
        time: UnixMillis,
    },
    /// The gateway is about to close the connection.
    GoAway {
        /// How long to wait before reconnecting.
        reconnect_in: Duration,
    },
    /// The connection has ended; nothing follows.
    Closed(Disconnect),
}

/// The incoming frames of one connection, in the order in which they came.
///
/// The queue is bounded: while it is full nothing more is read from the socket, replies included. So take frames while
/// requests are under way; a gateway closes a connection that does not read for long as slow. Dropping this discards
/// the frames from then on; the connection goes on.
#[derive(Debug)]
pub struct IncomingFrames {
    pub(crate) frames: mpsc::Receiver<Incoming>,
}

impl IncomingFrames {
    /// The next frame. [`Incoming::Closed`] comes exactly once, as the last one; `None` after it.
    ///
    /// # Cancel safety
    /// Safe: no frame is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.frames.recv().await
    }
}
