//! The life of a connection: reads frames until either side closes, and keeps its deadlines.

use std::{rc::Rc, time::Duration};

use actix_web::error::PayloadError;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError};
use huddle_domain::{ClientId, IdError, TeamId};
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, ErrorCode, Pong, TokenExpiring, client_frame, server_frame::Content},
};
use huddle_websocket::frame;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{Connection, hello, sends, subscribe};
use crate::{protocol, worker::Worker};

/// Frames without a request that this version knows, before the connection is closed.
const BAD_FRAMES_MAX: u32 = 16;
/// How long before a token's expiry the client is warned.
const EXPIRY_WARNING: Duration = Duration::from_mins(1);
/// How long the client may take to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What one connection's loop keeps.
struct Session {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    /// Started by the first send: most connections only read.
    sends: Option<mpsc::Sender<sends::QueuedSend>>,
    bad_frames: u32,
    started: Instant,
    last_heard: Instant,
    next_heartbeat: Instant,
}

/// Serves `connection` until it ends, then undoes all that it holds.
pub(crate) async fn serve(worker: Rc<Worker>, connection: Rc<Connection>, mut frames: AggregatedMessageStream) {
    let key = worker.enter(Rc::clone(&connection));
    let now = Instant::now();
    let mut session = Session {
        next_heartbeat: now + worker.core.config.heartbeat,
        worker: Rc::clone(&worker),
        connection: Rc::clone(&connection),
        sends: None,
        bad_frames: 0,
        started: now,
        last_heard: now,
    };
    let timer = sleep_until(session.next_deadline());
    tokio::pin!(timer);
    loop {
        tokio::select! {
            () = connection.closing.notified() => break,
            message = frames.recv() => {
                match message {
                    Some(Ok(message)) => {
                        session.last_heard = Instant::now();
                        if session.handle(message).await.is_break() {
                            break;
                        }
                    }
                    Some(Err(error)) => {
                        session.refuse_stream(&error);
                        break;
                    }
                    None => break,
                }
                // A `hello` may have brought a nearer deadline.
                let next = session.next_deadline();
                if next < timer.deadline() {
                    timer.as_mut().reset(next);
                }
            }
            () = &mut timer => {
                session.keep_deadlines();
                timer.as_mut().reset(session.next_deadline());
            }
        }
    }
    // A client that has only stopped to send would else keep its socket: nothing more would ever end the response.
    connection.outbox.close(frame::close_reply());
    let subscriptions: Vec<_> = connection.subscriptions.borrow().values().cloned().collect();
    for subscription in subscriptions {
        worker.hub.end(&subscription);
    }
    // Sends that have been taken go on to their end, whether or not anybody waits for it.
    drop(session);
    worker.leave(key);
    // The close frame is on its way; what the client still sends is of no interest.
    let _ = timeout(CLOSE_PATIENCE, async { while let Some(Ok(_)) = frames.recv().await {} }).await;
}

type Flow = std::ops::ControlFlow<()>;

impl Session {
    async fn handle(&mut self, message: AggregatedMessage) -> Flow {
        match message {
            AggregatedMessage::Ping(payload) => self.connection.queue(frame::pong(&payload)),
            AggregatedMessage::Pong(_) => {}
            AggregatedMessage::Close(_) => {
                self.connection.outbox.close(frame::close_reply());
                return Flow::Break(());
            }
            message @ (AggregatedMessage::Text(_) | AggregatedMessage::Binary(_)) => {
                self.worker.core.metrics.frames_in.inc();
                match protocol::decode(self.connection.encoding, &message) {
                    Ok(protocol::Request { id, request }) => self.request(id, request).await,
                    Err(protocol::BadFrame { id, refusal }) => self.bad_frame(id, refusal),
                }
            }
        }
        Flow::Continue(())
    }

    fn bad_frame(&mut self, id: String, refusal: Refusal) {
        self.connection.refuse(id, refusal);
        self.bad_frames += 1;
        if self.bad_frames >= BAD_FRAMES_MAX {
            self.connection.close(CloseCode::ProtocolError, "too many frames that are no requests");
        }
    }

    async fn request(&mut self, id: String, request: client_frame::Request) {
        use client_frame::Request;
        if let Request::Hello(hello) = request {
            return hello::hello(&self.worker.core, &self.connection, id, &hello);
        }
        let Some(user) = self.connection.user() else {
            let refusal = Refusal::new(ErrorCode::HelloRequired, "the first frame must be `hello`");
            return self.bad_frame(id, refusal);
        };
        match request {
            Request::Hello(_) => {}
            Request::Ping(_) => self.connection.reply(id, Content::Pong(Pong {})),
            Request::Subscribe(request) => {
                subscribe::subscribe(&self.worker, &self.connection, user, id, &request);
            }
            Request::Unsubscribe(request) => subscribe::unsubscribe(&self.worker, &self.connection, id, &request),
            Request::Send(request) => {
                let queue = self
                    .sends
                    .get_or_insert_with(|| sends::start(Rc::clone(&self.worker), Rc::clone(&self.connection), user));
                sends::send(queue, &self.connection, id, request).await;
            }
        }
    }

    /// The byte stream is no WebSocket any longer, or a message is too large: there is no going on.
    fn refuse_stream(&self, error: &ProtocolError) {
        let broken_off = match error {
            ProtocolError::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<PayloadError>()),
            _ => None,
        };
        match (broken_off, error) {
            (Some(PayloadError::Overflow), _) | (None, ProtocolError::Overflow) => self.too_large(),
            // The client has gone without a word.
            (Some(_), _) => {}
            // How the frame parser reports a message in pieces that is too large in sum.
            (None, ProtocolError::Io(error)) if error.kind() == std::io::ErrorKind::Other => self.too_large(),
            (None, _) => {
                let refusal = Refusal::new(ErrorCode::Malformed, "the WebSocket frame is malformed");
                self.connection.refuse(String::new(), refusal);
                self.connection.close(CloseCode::ProtocolError, "malformed WebSocket frame");
            }
        }
    }

    fn too_large(&self) {
        let message = format!("a frame has at most {} bytes", self.worker.core.config.frame_max.as_u64());
        self.connection.refuse(String::new(), Refusal::new(ErrorCode::TooLarge, message));
        self.connection.close(CloseCode::TooLarge, "frame too large");
    }

    fn next_deadline(&self) -> Instant {
        match &*self.connection.identity.borrow() {
            None => self.next_heartbeat.min(self.started + self.worker.core.config.hello_timeout),
            Some(identity) if identity.warned => self.next_heartbeat.min(identity.expires),
            Some(identity) => self.next_heartbeat.min(identity.warn_at()),
        }
    }

    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        let heartbeat = self.worker.core.config.heartbeat;
        let mut expiring = None;
        match &mut *self.connection.identity.borrow_mut() {
            None if now >= self.started + self.worker.core.config.hello_timeout => {
                return self.connection.close(CloseCode::HelloTimeout, "no hello in time");
            }
            Some(identity) if now >= identity.expires => {
                return self.connection.close(CloseCode::Unauthenticated, "the token has expired");
            }
            Some(identity) if !identity.warned && now >= identity.warn_at() => {
                identity.warned = true;
                expiring = Some(identity.expires_time_ms);
            }
            None | Some(_) => {}
        }
        if let Some(time_ms) = expiring {
            self.connection.push(Content::TokenExpiring(TokenExpiring { time_ms }));
        }
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + heartbeat;
            if now >= self.last_heard + 2 * heartbeat {
                return self.connection.close(CloseCode::HeartbeatLost, "nothing heard for two heartbeats");
            }
            self.connection.queue(frame::ping());
        }
    }
}

impl super::Identity {
    fn warn_at(&self) -> Instant {
        self.expires.checked_sub(EXPIRY_WARNING).unwrap_or(self.expires)
    }
}

/// The team of a request, or why it is none.
pub(crate) fn parse_team(text: &str) -> Result<TeamId, Refusal> {
    TeamId::parse(text).map_err(|error| invalid_id("team", error))
}

/// The `client_id` of a request; `None` when the client gave none.
pub(crate) fn parse_client_id(text: &str) -> Result<Option<ClientId>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    ClientId::parse(text).map(Some).map_err(|error| invalid_id("client_id", error))
}

fn invalid_id(field: &str, error: IdError) -> Refusal {
    Refusal::new(ErrorCode::InvalidId, format!("`{field}`: {error}"))
}
