//! WebSocket plumbing that both client protocols share: finished frames, the limit of a frame held at its head, and the
//! outbox that a response body drains. Everything here belongs to one worker thread, apart from the frames.
#![deny(missing_docs)]

mod accept;
pub mod frame;
mod frame_limit;
mod outbox;

pub use accept::{Accepted, accept};
pub use outbox::{Full, Outbox, OutboxBody};
