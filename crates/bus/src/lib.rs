//! What gateways say to each other and nobody keeps: signals of teams, and requests to one gateway.
//!
//! [`Bus`] is the contract; its doc comments are normative, and `conformance` is the suite that every implementation
//! passes. [`LocalBus`] is the one for gateways that live in one process. An implementation builds its feeds from
//! [`queue`], which has the bounds in it.
#![deny(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod error;
mod local;
mod peer;
pub mod queue;
mod request;

pub use contract::{Bus, Losses, PAYLOAD_BYTES_MAX, RequestFeed, SignalFeed};
pub use error::BusError;
pub use local::LocalBus;
pub use peer::{PeerId, PeerIdError};
pub use request::PeerRequest;
