//! A bare WebSocket client.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{Http, sid_of, soon};

pub(crate) struct WebSocket(pub(crate) WebSocketStream<TcpStream>);

impl WebSocket {
    /// Upgrades a connection, which stays on the worker thread where it is; the refusal's status when there is one.
    pub(crate) async fn upgrade(http: Http, query: &str) -> Result<Self, u16> {
        let url = format!("ws://test/socket.io/?transport=websocket&{query}");
        match soon(client_async(url, http.into_stream())).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins a session; returns its id too.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> (Self, String) {
        let mut socket = Self::upgrade(Http::connect(address).await, query).await.unwrap();
        let sid = sid_of(&socket.text().await);
        (socket, sid)
    }

    /// Begins a session of Engine.IO 4 and connects to the default namespace.
    pub(crate) async fn connected(address: SocketAddr) -> (Self, String) {
        let (mut socket, sid) = Self::open(address, "EIO=4").await;
        socket.send("40").await;
        assert!(socket.text().await.starts_with("40{\"sid\":"));
        (socket, sid)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next message; `None` when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        match soon(self.0.next()).await {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }

    /// The next message, a text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server has closed; returns what it said before, and how it closed.
    pub(crate) async fn closed(&mut self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        loop {
            match soon(self.0.next()).await {
                Some(Ok(Message::Text(text))) => texts.push(text.to_string()),
                Some(Ok(Message::Close(frame))) => return (texts, frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (texts, None),
            }
        }
    }
}
