//! Engine.IO: sessions over polling and WebSocket, heartbeats, the upgrade from one to the other. Knows nothing of
//! Socket.IO, which is an [`Application`] on top of it.

pub(crate) mod close_code;
mod packet;
mod payload;
mod refusal;
mod session;
mod sessions;
mod violation;

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

pub use packet::Message;
pub use session::Session;
pub use violation::Violation;

pub(crate) use packet::{MESSAGE_V3, Packet};
pub(crate) use payload::Payload;
pub(crate) use refusal::Refusal;
pub(crate) use session::{AttachRefused, End, Gone, Inner, Link, POST_PATIENCE, Parts, Polled, Posted, Taken};
pub(crate) use sessions::{Secret, Sessions};

/// What runs on top of Engine.IO: one per worker thread.
pub trait Application: 'static {
    /// A client has opened a session. What is sent from here on follows the open packet.
    fn open(&self, session: Session) -> Rc<dyn Handler>;
}

/// What handles the messages of one session. Its futures run one at a time and are driven to their end, also when the
/// session ends meanwhile; an error ends the session.
pub trait Handler: 'static {
    /// Runs before the first message is handled.
    fn opened(&self) -> LocalBoxFuture<'_, Result<(), Violation>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Handles a message. The next one is handled when this future is done: that is the backpressure.
    fn message(&self, message: Message) -> LocalBoxFuture<'_, Result<(), Violation>>;

    /// When the session is to end unless something happens first. Asked again after each message.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The client is about to be cut off, because its WebSocket has landed on a process that ends. It may be told, and the
    /// session closed behind that: the client comes back by itself.
    fn send_away(&self) {}

    /// Called once, when the session is over: behind the messages that the client had sent before it went. Never called from within a method of [`Session`].
    fn closed(&self);
}
