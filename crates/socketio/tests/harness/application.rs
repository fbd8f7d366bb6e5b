//! An application that does what the events of its clients say.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use huddle_socketio::{Application, ConnectRefused, ConnectRequest, Event, EventFrame, Generation, Handler, Socket};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;

/// What the applications of all worker threads share with the test.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) connected: AtomicUsize,
    pub(crate) disconnected: AtomicUsize,
    /// Handlers that have not been dropped.
    pub(crate) handlers: AtomicUsize,
    /// Names of events, in the order in which they were handled.
    pub(crate) events: Mutex<Vec<String>>,
}

pub(crate) struct TestApplication(Arc<Shared>);

struct TestHandler {
    shared: Arc<Shared>,
    socket: Socket,
    /// Whether its clients are not told that they are about to be cut off.
    is_mute: bool,
}

impl TestApplication {
    pub(crate) fn new(shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self(shared))
    }
}

impl Application for TestApplication {
    fn connect(
        &self,
        request: ConnectRequest,
        socket: Socket,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Handler>, ConnectRefused>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let asks = |what: &str| {
                request.auth.get(what).is_some() || request.handshake.query.iter().any(|(name, _)| name == what)
            };
            if asks("slow") {
                sleep(Duration::from_millis(300)).await;
            }
            if asks("refuse") {
                return Err(ConnectRefused { message: "no".to_owned(), data: Some(json!({"code": 7})) });
            }
            if asks("drop") {
                socket.disconnect();
            }
            shared.connected.fetch_add(1, Ordering::SeqCst);
            shared.handlers.fetch_add(1, Ordering::SeqCst);
            if asks("crowd") {
                let frame = EventFrame::new(&request.namespace, "early", &"x".repeat(100));
                while socket.emit(frame.clone()).is_ok() {}
            }
            if asks("welcome") {
                socket.emit(EventFrame::new(&request.namespace, "welcome", &request.handshake.token)).unwrap();
            }
            let is_mute = asks("mute");
            Ok(Rc::new(TestHandler { shared, socket, is_mute }) as Rc<dyn Handler>)
        })
    }
}

impl TestHandler {
    fn emit(&self, name: &str, argument: &impl serde::Serialize) -> bool {
        let frame = EventFrame::new(self.socket.namespace(), name, argument);
        let is_queued = self.socket.emit(frame).is_ok();
        if !is_queued {
            self.socket.abandon();
        }
        is_queued
    }

    async fn handle(&self, event: Event) {
        fn argument<T: DeserializeOwned + Default>(event: &Event, at: usize) -> T {
            event.args.get(at).and_then(|arg| serde_json::from_str(arg.get()).ok()).unwrap_or_default()
        }
        match event.name.as_str() {
            "echo" => {
                let frame =
                    EventFrame::with_attachments(self.socket.namespace(), "echo-back", &event.args, &event.attachments);
                if self.socket.emit(frame).is_err() {
                    self.socket.abandon();
                }
            }
            "flood" => {
                let text = "x".repeat(argument(&event, 1));
                let mut left: usize = argument(&event, 0);
                while left > 0 && self.emit("flood", &text) {
                    left -= 1;
                }
            }
            "fill" => {
                while self.socket.is_open() && self.emit("fill", &"x".repeat(1_000)) {
                    self.socket.has_room().await;
                }
            }
            "panic" => panic!("as the client wishes"),
            "later" => {
                let (socket, wait) = (self.socket.clone(), argument(&event, 0));
                actix_web::rt::spawn(async move {
                    sleep(Duration::from_millis(wait)).await;
                    socket.emit(EventFrame::new(socket.namespace(), "later-back", &wait)).unwrap();
                });
            }
            "slow" => sleep(Duration::from_millis(argument(&event, 0))).await,
            "disconnect-me" => self.socket.disconnect(),
            "close-me" => {
                for number in 0..3 {
                    self.emit("last", &number);
                }
                self.socket.close();
            }
            "abandon-me" => self.socket.abandon(),
            _ => {}
        }
        if let Some(id) = event.ack {
            self.socket.ack(id, &event.args).unwrap();
        }
        self.shared.events.lock().unwrap().push(event.name);
    }
}

impl Handler for TestHandler {
    fn event(&self, event: Event) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.handle(event))
    }

    fn send_away(&self) {
        if !self.is_mute {
            self.emit("go-away", &true);
            self.socket.close();
        }
    }

    fn disconnected(&self) {
        assert!(!self.socket.is_open());
        // Nothing comes of it, and nothing breaks.
        self.emit("too-late", &self.socket.generation().eq(&Generation::V4));
        self.shared.disconnected.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for TestHandler {
    fn drop(&mut self) {
        self.shared.handlers.fetch_sub(1, Ordering::SeqCst);
    }
}
