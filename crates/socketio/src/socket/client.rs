//! One session's Socket.IO side: the namespaces that it is connected to, and a packet whose attachments are still to come.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use huddle_websocket::frame;
use tokio::time::Instant;

use super::{
    AckId, Application, ConnectRefused, ConnectRequest, Event, Handler, Socket,
    decode::{Kind, Packet, parse_args, parse_connect, parse_event},
    encode::{self, DEFAULT_NAMESPACE},
};
use crate::{
    Config, Generation, NAMESPACES_MAX,
    engine::{self, Message, Violation},
};

/// How long the attachments of a packet may take to come.
const ATTACHMENTS_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    this: Weak<Self>,
    application: Rc<dyn Application>,
    config: Arc<Config>,
    /// All namespaces that there are.
    namespaces: Rc<[Arc<str>]>,
    session: engine::Session,
    connected: RefCell<HashMap<Arc<str>, Connected>>,
    /// Namespaces that the server has disconnected: what the client had sent already is no error.
    dismissed: RefCell<HashSet<Arc<str>>>,
    assembling: RefCell<Option<Assembling>>,
    /// Set while no namespace is connected, and the application is not deciding about one: when that has lasted too long.
    lonely_until: Cell<Option<Instant>>,
}

#[derive(Clone)]
struct Connected {
    socket: Socket,
    handler: Rc<dyn Handler>,
}

/// A packet whose attachments are still to come.
struct Assembling {
    namespace: Arc<str>,
    /// `None` for what nobody waits for.
    event: Option<Event>,
    attachments: Vec<Bytes>,
    expected: usize,
    until: Instant,
}

impl Client {
    pub(super) fn start(
        application: Rc<dyn Application>,
        config: Arc<Config>,
        namespaces: Rc<[Arc<str>]>,
        session: engine::Session,
    ) -> Rc<Self> {
        let lonely_until = Cell::new(Some(Instant::now() + config.connect_timeout));
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            application,
            config,
            namespaces,
            session,
            connected: RefCell::default(),
            dismissed: RefCell::default(),
            assembling: RefCell::default(),
            lonely_until,
        })
    }

    async fn take(&self, message: Message) -> Result<(), Violation> {
        match message {
            Message::Text(text) => {
                if self.assembling.borrow().is_some() {
                    return Err(Violation::AttachmentOrder);
                }
                let text = std::str::from_utf8(&text).map_err(|_| Violation::SocketPacket)?;
                let Packet { kind, namespace, payload } = Packet::decode(text)?;
                match kind {
                    Kind::Connect => self.connect(namespace, payload).await,
                    Kind::Disconnect => self.disconnect(namespace),
                    Kind::Event { ack, attachments } => {
                        let args = parse_event(payload)?;
                        let event =
                            Event { name: args.name, args: args.args, attachments: Vec::new(), ack: ack.map(AckId) };
                        self.gather(namespace, Some(event), attachments).await
                    }
                    Kind::Ack { attachments } => {
                        // Nothing that is sent from here asks for one.
                        parse_args(payload)?;
                        self.gather(namespace, None, attachments).await
                    }
                }
            }
            Message::Binary(bytes) => self.take_attachment(bytes).await,
        }
    }

    async fn connect(&self, namespace: &str, payload: &str) -> Result<(), Violation> {
        let generation = self.session.generation();
        let auth = parse_connect(payload)?;
        if self.connected.borrow().contains_key(namespace) {
            return Err(Violation::SecondConnect);
        }
        let known = self.namespaces.iter().find(|known| &***known == namespace);
        let Some(known) = known.filter(|_| self.connected.borrow().len() < NAMESPACES_MAX) else {
            let refused = ConnectRefused { message: "Invalid namespace".to_owned(), data: None };
            self.push(&encode::connect_error(namespace, generation, &refused));
            return Ok(());
        };
        self.dismissed.borrow_mut().remove(known);
        let request =
            ConnectRequest { namespace: Arc::clone(known), auth, handshake: Rc::clone(self.session.handshake()) };
        let session = self.session.clone();
        let socket = Socket::new(Arc::clone(known), session, Weak::clone(&self.this), Arc::clone(&self.config));
        self.lonely_until.set(None);
        let outcome = self.application.connect(request, socket.clone()).await;
        match outcome {
            Ok(handler) if self.session.is_over() => {
                socket.is_gone();
                handler.disconnected();
            }
            Ok(handler) => {
                let connected = Connected { socket: socket.clone(), handler };
                self.connected.borrow_mut().insert(Arc::clone(known), connected);
                // The last of the others may have been disconnected meanwhile.
                self.lonely_until.set(None);
                socket.let_in();
            }
            Err(refused) => {
                socket.is_gone();
                self.push(&encode::connect_error(known, generation, &refused));
                if self.connected.borrow().is_empty() {
                    self.lonely_until.set(Some(Instant::now() + self.config.connect_timeout));
                }
                if generation == Generation::V3 && &**known == DEFAULT_NAMESPACE {
                    // There the default namespace comes with the session.
                    self.session.close();
                }
            }
        }
        Ok(())
    }

    /// The client leaves a namespace.
    fn disconnect(&self, namespace: &str) -> Result<(), Violation> {
        match self.forget(namespace) {
            Some(Connected { socket, handler }) => {
                socket.is_gone();
                handler.disconnected();
                Ok(())
            }
            None if self.dismissed.borrow().contains(namespace) => Ok(()),
            None => Err(Violation::NotConnected),
        }
    }

    /// The server has disconnected a namespace. The handler is told by another task: the caller may be one that it calls.
    pub(super) fn dismiss(&self, namespace: &Arc<str>) {
        if let Some(Connected { handler, .. }) = self.forget(namespace) {
            self.dismissed.borrow_mut().insert(Arc::clone(namespace));
            self.session.deadline_has_moved();
            actix_web::rt::spawn(async move { handler.disconnected() });
        }
    }

    fn forget(&self, namespace: &str) -> Option<Connected> {
        let mut connected = self.connected.borrow_mut();
        let forgotten = connected.remove(namespace)?;
        if connected.is_empty() {
            self.lonely_until.set(Some(Instant::now() + self.config.connect_timeout));
        }
        Some(forgotten)
    }

    /// Hands an event on, or waits for its attachments first.
    async fn gather(&self, namespace: &str, event: Option<Event>, expected: usize) -> Result<(), Violation> {
        let is_connected = self.connected.borrow().contains_key(namespace);
        if !is_connected && !self.dismissed.borrow().contains(namespace) {
            return Err(Violation::NotConnected);
        }
        let until = Instant::now() + ATTACHMENTS_TIMEOUT;
        let assembling = Assembling { namespace: namespace.into(), event, attachments: Vec::new(), expected, until };
        if expected == 0 {
            self.hand_on(assembling).await;
        } else {
            self.assembling.replace(Some(assembling));
        }
        Ok(())
    }

    async fn take_attachment(&self, bytes: Bytes) -> Result<(), Violation> {
        let mut assembling = self.assembling.take().ok_or(Violation::AttachmentOrder)?;
        let gathered: usize = assembling.attachments.iter().map(Bytes::len).sum();
        if gathered + bytes.len() > self.config.payload_max {
            return Err(Violation::AttachmentLimit);
        }
        // A copy: the bytes may be a small part of a large buffer.
        assembling.attachments.push(Bytes::copy_from_slice(&bytes));
        if assembling.attachments.len() < assembling.expected {
            self.assembling.replace(Some(assembling));
        } else {
            self.hand_on(assembling).await;
        }
        Ok(())
    }

    async fn hand_on(&self, assembling: Assembling) {
        let Assembling { namespace, event, attachments, .. } = assembling;
        let handler = self.connected.borrow().get(&namespace).map(|connected| Rc::clone(&connected.handler));
        if let (Some(handler), Some(event)) = (handler, event) {
            handler.event(Event { attachments, ..event }).await;
        }
    }

    fn push(&self, packet: &[u8]) {
        if self.session.send_frame(frame::text(packet)).is_err() {
            self.session.abandon();
        }
    }
}

impl engine::Handler for Client {
    fn opened(&self) -> LocalBoxFuture<'_, Result<(), Violation>> {
        match self.session.generation() {
            Generation::V3 => Box::pin(self.connect(DEFAULT_NAMESPACE, "")),
            Generation::V4 => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn message(&self, message: Message) -> LocalBoxFuture<'_, Result<(), Violation>> {
        Box::pin(self.take(message))
    }

    fn deadline(&self) -> Option<Instant> {
        let attachments = self.assembling.borrow().as_ref().map(|assembling| assembling.until);
        [attachments, self.lonely_until.get()].into_iter().flatten().min()
    }

    fn send_away(&self) {
        let handlers: Vec<_> =
            self.connected.borrow().values().map(|connected| Rc::clone(&connected.handler)).collect();
        for handler in handlers {
            handler.send_away();
        }
    }

    fn closed(&self) {
        let connected = self.connected.take();
        self.assembling.take();
        for Connected { socket, handler } in connected.into_values() {
            socket.is_gone();
            handler.disconnected();
        }
    }
}
