//! The servers that the published protocol test suites expect on port 3000: Engine.IO alone at `/engine.io/`, Socket.IO at
//! `/socket.io/`, both of which say back what they are told. For tests only.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use actix_web::{App, HttpServer};
use futures_util::future::LocalBoxFuture;
use huddle_bus::{Bus, LocalBus};
use huddle_socketio::{
    AckId, Application, Config, ConnectRefused, ConnectRequest, Event, EventFrame, Handler, Server, Socket,
    SocketIoMetrics, configure, engine,
};

const ADDRESS: (&str, u16) = ("127.0.0.1", 3000);

/// Sends every message back.
struct EngineEcho;

struct EngineEchoSession(engine::Session);

impl engine::Application for EngineEcho {
    fn open(&self, session: engine::Session) -> Rc<dyn engine::Handler> {
        Rc::new(EngineEchoSession(session))
    }
}

impl engine::Handler for EngineEchoSession {
    fn message(&self, message: engine::Message) -> LocalBoxFuture<'_, Result<(), engine::Violation>> {
        if self.0.send(&message).is_err() {
            self.0.abandon();
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn closed(&self) {}
}

/// Tells clients how they authenticated, and sends their messages back.
struct Echo;

struct EchoSocket(Socket);

impl Application for Echo {
    fn connect(
        &self,
        request: ConnectRequest,
        socket: Socket,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Handler>, ConnectRefused>> {
        let auth = if request.auth.is_null() { serde_json::json!({}) } else { request.auth };
        let handler = EchoSocket(socket);
        handler.emit(&EventFrame::new(&request.namespace, "auth", &auth));
        Box::pin(std::future::ready(Ok(Rc::new(handler) as Rc<dyn Handler>)))
    }
}

impl EchoSocket {
    fn emit(&self, frame: &EventFrame) {
        if self.0.emit(frame.clone()).is_err() {
            self.0.abandon();
        }
    }

    fn answer(&self, event: Event) {
        let Event { name, args, attachments, ack } = event;
        match (name.as_str(), ack) {
            ("message", _) => {
                self.emit(&EventFrame::with_attachments(self.0.namespace(), "message-back", &args, &attachments));
            }
            ("message-with-ack", Some(id)) => self.acknowledge(id, &args, &attachments),
            _ => {}
        }
    }

    fn acknowledge(&self, id: AckId, args: &[Box<serde_json::value::RawValue>], attachments: &[bytes::Bytes]) {
        if self.0.ack_with_attachments(id, args, attachments).is_err() {
            self.0.abandon();
        }
    }
}

impl Handler for EchoSocket {
    fn event(&self, event: Event) -> LocalBoxFuture<'_, ()> {
        self.answer(event);
        Box::pin(std::future::ready(()))
    }

    fn disconnected(&self) {}
}

fn config(path: &str) -> Config {
    Config {
        path: path.to_owned(),
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        payload_max: 1_000_000,
        connect_timeout: Duration::from_secs(1),
        outbox_max: 8_000_000,
        namespaces: vec!["/custom".to_owned()],
        ..Config::default()
    }
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    let server =
        |path| Server::new(config(path), Arc::clone(&bus), SocketIoMetrics::default()).map_err(io::Error::other);
    let (engine, socketio) = (server("/engine.io/")?, server("/socket.io/")?);
    HttpServer::new(move || {
        let engine = engine.engine_worker(Rc::new(EngineEcho));
        let socketio = socketio.worker(Rc::new(Echo));
        App::new().configure(|routes| configure(routes, engine)).configure(|routes| configure(routes, socketio))
    })
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .bind(ADDRESS)?
    .run()
    .await
}
