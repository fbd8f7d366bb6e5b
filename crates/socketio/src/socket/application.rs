//! What an application on top of Socket.IO is to the server.

use std::{fmt, rc::Rc, sync::Arc};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, value::RawValue};

use super::Socket;
use crate::Handshake;

/// An application: one per worker thread.
pub trait Application: 'static {
    /// A client asks to connect to a namespace. `socket` can be kept; what is emitted before the future is done goes out
    /// behind the reply. The session's next packet is handled when the future is done.
    ///
    /// The future is driven to its end even when the session ends meanwhile; the handler that it gives is then told at
    /// once that its socket is gone.
    fn connect(
        &self,
        request: ConnectRequest,
        socket: Socket,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Handler>, ConnectRefused>>;
}

/// What handles the events of one socket.
pub trait Handler: 'static {
    /// Handles an event. The session's next packet is handled when this future is done: that is the backpressure. It is
    /// driven to its end even when the socket goes meanwhile.
    fn event(&self, event: Event) -> LocalBoxFuture<'_, ()>;

    /// The client is about to be cut off, because its WebSocket has landed on a process that ends. It may be told, and the
    /// socket [closed](Socket::close) behind that: the client comes back by itself.
    fn send_away(&self) {}

    /// Called once, when the socket is gone, for whatever reason; possibly while an event is still being handled. Never
    /// called from within a method of [`Socket`].
    fn disconnected(&self);
}

/// A client's wish to connect to a namespace.
#[derive(Clone)]
pub struct ConnectRequest {
    /// The namespace: `/` or one of [`Config::namespaces`](crate::Config::namespaces).
    pub namespace: Arc<str>,
    /// The packet's payload: an object, or `Null` when there is none, which is always so in Engine.IO 3. A secret.
    pub auth: Value,
    /// How the session was opened.
    pub handshake: Rc<Handshake>,
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("namespace", &self.namespace)
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
    }
}

/// Why a client may not connect, for the client to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRefused {
    /// A text for people.
    pub message: String,
    /// What programs need; not sent in Engine.IO 3.
    pub data: Option<Value>,
}

/// The id under which a client waits for an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckId(pub(crate) u64);

/// An event of a client.
#[derive(Clone)]
pub struct Event {
    /// The event's name; never one of the names that are reserved.
    pub name: String,
    /// The arguments, as sent. Nested at most 128 levels deep. Where there are attachments, an argument holds
    /// `{"_placeholder":true,"num":n}` in the place of attachment `n`, unchecked.
    pub args: Vec<Box<RawValue>>,
    /// Binary attachments, in their order.
    pub attachments: Vec<Bytes>,
    /// Set when the client waits for an acknowledgement.
    pub ack: Option<AckId>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what was sent.
        f.debug_struct("Event")
            .field("args", &self.args.len())
            .field("attachments", &self.attachments.len())
            .field("ack", &self.ack)
            .finish_non_exhaustive()
    }
}
