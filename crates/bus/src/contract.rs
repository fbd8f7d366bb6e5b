//! The contract of the bus.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use huddle_domain::TeamId;

use crate::{BusError, PeerId, PeerRequest};

/// The largest signal, request or reply, in bytes: what NATS takes by default (1 MiB), less room for headers.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024 - 4 * 1024;

/// The signals of one team. Ends only when the bus handle is dropped.
pub type SignalFeed = BoxStream<'static, Bytes>;

/// The requests to one peer. Ends only when the bus handle is dropped.
pub type RequestFeed = BoxStream<'static, PeerRequest>;

/// What a bus handle had no room for since it was made. The counts only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Signals that a listener of this handle was too slow for.
    pub signals: u64,
    /// Requests to a peer that this handle serves, which found its queue full.
    pub requests: u64,
    /// Replies that could not be sent from this handle.
    pub replies: u64,
    /// Messages of either kind that came faster than they could be told apart.
    pub messages: u64,
}

/// The way from gateway to gateway, for what may be lost: nothing is kept, nothing is sent a second time.
///
/// Handles are shared by `Arc`; every method may be called concurrently. Feeds belong to the handle that made them.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Says `payload` to everyone who listens to `team` now, listeners of this handle included. May be lost, by each
    /// listener on its own; never arrives twice. Signals of one task to one team arrive in their order.
    ///
    /// # Errors
    /// [`BusError::TooLarge`], [`BusError::Unavailable`] (at once when there is no connection). That nobody listens is no
    /// error.
    ///
    /// # Cancel safety
    /// A dropped call has sent its signal or has not.
    async fn signal(&self, team: &TeamId, payload: Bytes) -> Result<(), BusError>;

    /// Listens to `team` until the feed is dropped. In force when it returns: what is signalled after that arrives. (In a
    /// cluster of servers, those that the listener is not connected to learn of it some milliseconds later.)
    ///
    /// A listener that does not read loses the oldest of what waits beyond [`queue::SIGNALS_MAX`](crate::queue::SIGNALS_MAX)
    /// signals or [`queue::SIGNALS_BYTES_MAX`](crate::queue::SIGNALS_BYTES_MAX) bytes, and delays nobody. When there is no
    /// connection, now or later, the feed goes on with the next one by itself; what is said meanwhile is lost.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when a server does not answer within 2 s.
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing behind.
    async fn signals(&self, team: &TeamId) -> Result<SignalFeed, BusError>;

    /// Takes the requests to `peer` until the feed is dropped. In force when it returns, with the same reservation as for
    /// [`Bus::signals`], and goes on by itself with the next connection.
    ///
    /// At most [`queue::REQUESTS_MAX`](crate::queue::REQUESTS_MAX) requests, and
    /// [`queue::REQUESTS_BYTES_MAX`](crate::queue::REQUESTS_BYTES_MAX) bytes of them, wait in the feed; further ones are
    /// told so. A peer is served once at a time: of two feeds, each request reaches one.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when a server does not answer within 2 s.
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing behind.
    async fn serve(&self, peer: &PeerId) -> Result<RequestFeed, BusError>;

    /// Asks `peer`, and waits for its reply for at most `patience`. The request is sent once.
    ///
    /// # Errors
    /// [`BusError::NoPeer`] at once when nobody serves the peer, be it for a moment only: it has not seen the request, which
    /// can be sent again. [`BusError::NoAnswer`] when the
    /// patience is over, or earlier when the peer let go of the request without a reply; it may have handled it.
    /// [`BusError::TooLarge`]. [`BusError::Unavailable`] at once when there is no connection or the peer's queue is full,
    /// and when the connection is lost meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the call forgets the reply; the peer may handle the request all the same.
    async fn request(&self, peer: &PeerId, payload: Bytes, patience: Duration) -> Result<Bytes, BusError>;

    /// What this handle had no room for.
    fn losses(&self) -> Losses;
}
