//! The bounded queues behind the feeds: what waits for a listener, and what waits for a peer.

mod requests;
mod signals;

pub use requests::{REQUESTS_BYTES_MAX, REQUESTS_MAX, Refused, RequestSender, requests};
pub use signals::{SIGNALS_BYTES_MAX, SIGNALS_MAX, SignalReceiver, SignalSender, signals};
