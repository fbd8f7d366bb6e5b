//! A client of Huddle's native WebSocket protocol (`huddle.gateway.v1`).
//!
//! Three levels, each on top of the one before:
//!
//! * [`Client`] is one connection: requests and their replies, and the [`Incoming`] frames that nobody asked for. It
//!   never reconnects.
//! * [`Follower`] yields a team's events exactly once and in order, over as many connections as it takes, and however
//!   slowly they are taken.
//! * [`Sender`] sends messages and repeats what was not acknowledged under the same `client_id`, over as many
//!   connections as it takes, so that each message appears once.
//!
//! Plain `ws://` only: where TLS is wanted, a proxy in front of the gateway ends it.
#![deny(missing_docs)]

mod backoff;
mod client;
mod connection;
mod disconnect;
mod error;
mod follower;
mod handshake;
mod incoming;
mod options;
mod pending;
mod sender;
#[cfg(test)]
mod test_gateway;
mod wire;

pub use client::{Client, PendingSend};
pub use disconnect::{Disconnect, Reconnect};
pub use error::{ConnectError, RequestError};
pub use follower::{FollowError, Followed, Follower};
pub use incoming::{Incoming, IncomingFrames};
pub use options::{ClientOptions, Encoding, Token};
pub use sender::{OutgoingMessage, PendingDelivery, Receipt, SendError, Sender, SenderOptions};
pub use wire::{Accepted, EventPage, ListedEvent, Subscribed, Welcome};
