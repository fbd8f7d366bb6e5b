//! One client in one namespace, as the application holds it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use huddle_websocket::{Full, frame};
use serde::Serialize;

use super::{AckId, EventFrame, client::Client, encode};
use crate::{Config, Generation, engine};

/// Random bytes of a socket's id.
const ID_BYTES: usize = 15;
/// The part of the outbox that is kept free of what is emitted while the application decides: the reply goes out before it,
/// and other namespaces are there too.
const RESERVED_SHARE: usize = 4;

/// A client in a namespace. Clones are the same socket; it belongs to one worker thread.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

struct Inner {
    id: String,
    namespace: Arc<str>,
    session: engine::Session,
    client: Weak<Client>,
    config: Arc<Config>,
    state: Cell<State>,
    /// What was emitted before the client was let in.
    early: RefCell<Vec<Bytes>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The application has not decided yet.
    Connecting,
    /// As above, and the application has disconnected the socket already.
    Unwanted,
    Connected,
    Gone,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

impl Socket {
    pub(super) fn new(
        namespace: Arc<str>,
        session: engine::Session,
        client: Weak<Client>,
        config: Arc<Config>,
    ) -> Self {
        let id = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; ID_BYTES]>());
        let (state, early) = (Cell::new(State::Connecting), RefCell::default());
        Self(Rc::new(Inner { id, namespace, session, client, config, state, early }))
    }

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
        self.0.session.generation()
    }

    /// Queues an event of this socket's namespace. Once the socket is gone it is dropped silently.
    pub fn emit(&self, frame: EventFrame) -> Result<(), Full> {
        self.send(frame.into_frames(self.generation()))
    }

    /// Queues an acknowledgement. Once the socket is gone it is dropped silently.
    pub fn ack(&self, id: AckId, args: &[impl Serialize]) -> Result<(), Full> {
        self.ack_with_attachments(id, args, &[])
    }

    /// Like [`Socket::ack`], with binary attachments, in whose places the arguments hold
    /// `{"_placeholder":true,"num":n}`.
    pub fn ack_with_attachments(&self, id: AckId, args: &[impl Serialize], attachments: &[Bytes]) -> Result<(), Full> {
        let packet = encode::ack(&self.0.namespace, id, args, attachments.len());
        self.emit(EventFrame::finished(&packet, attachments))
    }

    /// Waits until at most half of what may wait for the client does, or until the session is over. Cancel safe.
    pub async fn has_room(&self) {
        self.0.session.has_room().await;
    }

    /// Whether the client is still connected to the namespace, or about to be, as far as is known.
    pub fn is_open(&self) -> bool {
        matches!(self.0.state.get(), State::Connecting | State::Connected) && self.0.session.is_open()
    }

    /// Tells the client that it is no longer connected to the namespace: it does not come back by itself.
    pub fn disconnect(&self) {
        match self.0.state.get() {
            State::Connecting => self.0.state.set(State::Unwanted),
            State::Connected => {
                self.0.state.set(State::Gone);
                if self.0.session.send_frame(frame::text(&encode::disconnect(&self.0.namespace))).is_err() {
                    self.0.session.abandon();
                }
                if let Some(client) = self.0.client.upgrade() {
                    client.dismiss(&self.0.namespace);
                }
            }
            State::Unwanted | State::Gone => {}
        }
    }

    /// Ends the whole session behind what is queued: the client comes back by itself.
    pub fn close(&self) {
        self.0.session.close();
    }

    /// Drops what is queued and ends the whole session: for a reader that is too slow. It comes back by itself.
    pub fn abandon(&self) {
        self.0.session.abandon();
    }

    /// The client may come in: from here on events go out.
    pub(super) fn let_in(&self) {
        let is_unwanted = self.0.state.replace(State::Connected) == State::Unwanted;
        let reply = encode::connect(&self.0.namespace, self.generation(), &self.0.id);
        let early = self.0.early.take();
        let sent = self.send(std::iter::once(frame::text(&reply)).chain(early));
        if sent.is_err() {
            self.0.session.abandon();
        }
        if is_unwanted {
            self.disconnect();
        }
    }

    /// The socket is gone; nothing goes out any more.
    pub(super) fn is_gone(&self) {
        self.0.state.set(State::Gone);
        self.0.early.take();
    }

    fn send(&self, frames: impl Iterator<Item = Bytes>) -> Result<(), Full> {
        match self.0.state.get() {
            State::Gone | State::Unwanted => Ok(()),
            State::Connecting => {
                let mut early = self.0.early.borrow_mut();
                let before = early.len();
                early.extend(frames);
                let bytes: usize = early.iter().map(Bytes::len).sum();
                let without_reserve = |max: usize| max - max / RESERVED_SHARE;
                let frames_max = without_reserve(self.0.config.outbox_frames_max);
                if early.len() > frames_max || bytes > without_reserve(self.0.config.outbox_max) {
                    early.truncate(before);
                    return Err(Full);
                }
                Ok(())
            }
            State::Connected => {
                for (at, frame) in frames.enumerate() {
                    if self.0.session.send_frame(frame).is_err() {
                        if at > 0 {
                            // Half a packet is out: nothing can follow it.
                            self.0.session.abandon();
                        }
                        return Err(Full);
                    }
                }
                Ok(())
            }
        }
    }
}
