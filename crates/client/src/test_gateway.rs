//! A gateway for tests: they accept connections and play its part frame by frame.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use huddle_proto::{
    event::v1::{Event, Posted, event::Kind},
    gateway::v1::{ClientFrame, ServerFrame, Welcome, client_frame::Request, server_frame::Content},
};
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request as HttpRequest, Response},
        protocol::CloseFrame,
    },
};

use crate::ClientOptions;

/// Bounds every wait of a test.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(TEST_TIMEOUT, Box::pin(future)).await.expect("the test waits no longer")
}

pub(crate) struct TestGateway {
    listener: TcpListener,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions::new(format!("ws://{}/v1/ws", self.listener.local_addr().unwrap()), "token")
    }

    /// The next connection, before its hello.
    #[expect(clippy::result_large_err, reason = "the callback's type is given")]
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let echo = |request: &HttpRequest, mut response: Response| {
            let name = "sec-websocket-protocol";
            response.headers_mut().insert(name, request.headers()[name].clone());
            Ok(response)
        };
        Peer { socket: accept_hdr_async(stream, echo).await.unwrap() }
    }

    /// The next connection, after its hello.
    pub(crate) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        let (id, request) = peer.request().await;
        assert!(matches!(request, Request::Hello(_)));
        let welcome = Welcome { user: "alice".to_owned(), heartbeat_interval_ms: 10_000, ..Welcome::default() };
        peer.reply(id, Content::Welcome(welcome)).await;
        peer
    }
}

pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    /// The next request with its id.
    pub(crate) async fn request(&mut self) -> (String, Request) {
        loop {
            match within(self.socket.next()).await.unwrap().unwrap() {
                Message::Binary(bytes) => {
                    let frame = ClientFrame::decode(bytes).unwrap();
                    return (frame.id, frame.request.unwrap());
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    pub(crate) async fn reply(&mut self, reply_to: String, content: Content) {
        let frame = ServerFrame { reply_to, content: Some(content) };
        self.socket.send(Message::binary(frame.encode_to_vec())).await.unwrap();
    }

    pub(crate) async fn push(&mut self, content: Content) {
        self.reply(String::new(), content).await;
    }

    pub(crate) async fn event(&mut self, seq: u64, prev_seq: u64) {
        self.push(Content::Event(event(seq, prev_seq))).await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "test".into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = within(self.socket.next()).await {}
    }

    /// Waits for the client to close, and gives its code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

pub(crate) fn event(seq: u64, prev_seq: u64) -> Event {
    Event {
        team: "demo".to_owned(),
        seq,
        prev_seq,
        time_ms: 1,
        sender: "bob".to_owned(),
        client_id: format!("c{seq}"),
        kind: Some(Kind::Posted(Posted { body: "hi".to_owned(), ..Posted::default() })),
    }
}
