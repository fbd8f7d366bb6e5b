//! The life of a connection: reads frames until either side closes, and keeps its deadlines.

use std::{rc::Rc, time::Duration};

use actix_web::error::PayloadError;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError};
use huddle_proto::{
    Refusal,
    gateway::v1::{CloseCode, ErrorCode, Pong, client_frame, server_frame::Content},
};
use huddle_websocket::{Full, Outbox, frame};
use tokio::time::{Instant, sleep_until, timeout};

use super::{BadFrame, Encoding, Request, decode, hello, list_events::Pager, requests};
use crate::{
    connection::{Connection, ReplyTo, SendQueue},
    worker::Worker,
};

/// Frames without a request that this version knows, before the connection is closed.
const BAD_FRAMES_MAX: u32 = 16;
/// How long the client may take to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What one connection's loop keeps.
struct Session {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    encoding: Encoding,
    outbox: Rc<Outbox>,
    /// Started by the first send: most connections only read.
    sends: Option<SendQueue>,
    /// Started by the first request for a page.
    pager: Option<Pager>,
    bad_frames: u32,
    started: Instant,
    last_heard: Instant,
    next_heartbeat: Instant,
}

/// Serves `connection` until it ends, then undoes all that it holds.
pub(super) async fn serve(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    encoding: Encoding,
    outbox: Rc<Outbox>,
    mut frames: AggregatedMessageStream,
) {
    let key = worker.enter(Rc::clone(&connection));
    let now = Instant::now();
    let mut session = Session {
        next_heartbeat: now + worker.core.config.heartbeat,
        worker: Rc::clone(&worker),
        connection: Rc::clone(&connection),
        encoding,
        outbox: Rc::clone(&outbox),
        sends: None,
        pager: None,
        bad_frames: 0,
        started: now,
        last_heard: now,
    };
    let timer = sleep_until(session.next_deadline());
    tokio::pin!(timer);
    loop {
        tokio::select! {
            () = connection.closed() => break,
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
    // The response of a client that is still there ends with this.
    outbox.close(frame::close_reply());
    connection.end_subscriptions(&worker);
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
            AggregatedMessage::Ping(payload) => self.queue(frame::pong(&payload)),
            AggregatedMessage::Pong(_) => {}
            AggregatedMessage::Close(_) => {
                self.outbox.close(frame::close_reply());
                return Flow::Break(());
            }
            message @ (AggregatedMessage::Text(_) | AggregatedMessage::Binary(_)) => {
                self.worker.core.metrics.frames_in.inc();
                match decode(self.encoding, &message) {
                    Ok(Request { id, request }) => self.request(ReplyTo::Id(id), request).await,
                    Err(BadFrame { id, refusal }) => self.bad_frame(ReplyTo::Id(id), refusal),
                }
            }
        }
        Flow::Continue(())
    }

    /// Queues a frame of the WebSocket protocol itself. Clients that flood it are as slow as any whose outbox is full.
    fn queue(&self, frame: bytes::Bytes) {
        if self.outbox.push(frame) == Err(Full) {
            self.connection.abandon();
        }
    }

    fn bad_frame(&mut self, reply_to: ReplyTo, refusal: Refusal) {
        self.connection.refuse(reply_to, refusal);
        self.bad_frames += 1;
        if self.bad_frames >= BAD_FRAMES_MAX {
            self.connection.close(CloseCode::ProtocolError, "too many frames that are no requests");
        }
    }

    async fn request(&mut self, reply_to: ReplyTo, request: client_frame::Request) {
        use client_frame::Request;
        if let Request::Hello(hello) = request {
            return hello::hello(&self.worker.core, &self.connection, reply_to, &hello);
        }
        let Some(user) = self.connection.user() else {
            let refusal = Refusal::new(ErrorCode::HelloRequired, "the first frame must be `hello`");
            return self.bad_frame(reply_to, refusal);
        };
        match request {
            Request::Hello(_) => {}
            Request::Ping(_) => self.connection.reply(reply_to, Content::Pong(Pong {})),
            Request::Subscribe(request) => {
                requests::subscribe(&self.worker, &self.connection, user, reply_to, &request);
            }
            Request::Unsubscribe(request) => {
                requests::unsubscribe(&self.worker, &self.connection, reply_to, &request);
            }
            Request::Send(request) => {
                let queue = self
                    .sends
                    .get_or_insert_with(|| SendQueue::start(Rc::clone(&self.worker), Rc::clone(&self.connection)));
                requests::send(queue, &self.connection, user, reply_to, &request).await;
            }
            Request::ListEvents(request) => {
                let pager = self.pager.get_or_insert_with(|| Pager::new(self.encoding));
                pager.list_events(&self.worker, &self.connection, user, reply_to, &request);
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
                self.connection.refuse(ReplyTo::Id(String::new()), refusal);
                self.connection.close(CloseCode::ProtocolError, "malformed WebSocket frame");
            }
        }
    }

    fn too_large(&self) {
        let message = format!("a frame has at most {} bytes", self.worker.core.config.frame_max.as_u64());
        self.connection.refuse(ReplyTo::Id(String::new()), Refusal::new(ErrorCode::TooLarge, message));
        self.connection.close(CloseCode::TooLarge, "frame too large");
    }

    fn next_deadline(&self) -> Instant {
        let hello_deadline = self.started + self.worker.core.config.hello_timeout;
        let identity_deadline = self.connection.identity_deadline().unwrap_or(hello_deadline);
        self.next_heartbeat.min(self.silence_deadline()).min(identity_deadline)
    }

    /// When a client of which nothing has been heard since is given up.
    fn silence_deadline(&self) -> Instant {
        self.last_heard + 2 * self.worker.core.config.heartbeat
    }

    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        let is_known = self.connection.identity_deadline().is_some();
        if !is_known && now >= self.started + self.worker.core.config.hello_timeout {
            return self.connection.close(CloseCode::HelloTimeout, "no hello in time");
        }
        self.connection.keep_identity();
        if now >= self.silence_deadline() {
            return self.connection.close(CloseCode::HeartbeatLost, "nothing heard for two heartbeats");
        }
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + self.worker.core.config.heartbeat;
            self.queue(frame::ping());
        }
    }
}
