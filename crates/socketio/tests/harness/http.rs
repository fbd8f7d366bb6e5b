//! A bare HTTP client: one connection, which says on which worker thread it is.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::soon;

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

pub(crate) struct Http(BufReader<TcpStream>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Whether it is this refusal of Engine.IO's.
    pub(crate) fn is_refusal(&self, code: u32) -> bool {
        self.status == 400 && self.text().starts_with(&format!("{{\"code\":{code},"))
    }
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// A connection that has landed on this worker thread, found out with sessions that are closed again.
    pub(crate) async fn connect_to(address: SocketAddr, worker: u32) -> Self {
        for _ in 0..100 {
            let mut http = Self::connect(address).await;
            let sid = http.open().await;
            assert_eq!(http.post(&sid, "1").await.status, 200);
            assert_eq!(http.poll(&sid).await.text(), "6");
            if worker_of(&sid) == worker {
                return http;
            }
        }
        panic!("no connection lands on worker {worker}");
    }

    /// Opens a session over polling and returns its id.
    pub(crate) async fn open(&mut self) -> String {
        let response = self.get(POLLING).await;
        assert_eq!(response.status, 200, "{}", response.text());
        sid_of(response.text())
    }

    pub(crate) async fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "", b"").await
    }

    pub(crate) async fn poll(&mut self, sid: &str) -> Response {
        self.get(&format!("{POLLING}&sid={sid}")).await
    }

    pub(crate) async fn post(&mut self, sid: &str, body: &str) -> Response {
        self.request("POST", &format!("{POLLING}&sid={sid}"), "", body.as_bytes()).await
    }

    /// `headers` are whole lines, each with its line end.
    pub(crate) async fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Response {
        self.send(method, target, headers, body).await;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let length = if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n");
        self.write(&[head.as_bytes(), body].concat()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Response {
        soon(async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(self.0.read_line(&mut head).await.unwrap() > 0, "the connection has ended: {head:?}");
            }
            let status = head[9..12].parse().unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            let mut body = vec![0; length.unwrap_or_default()];
            self.0.read_exact(&mut body).await.unwrap();
            Response { status, head, body }
        })
        .await
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.0.buffer().is_empty());
        self.0.into_inner()
    }
}

/// The session's id in an open packet.
pub(crate) fn sid_of(open: &str) -> String {
    let (_, rest) = open.split_once("{\"sid\":\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn worker_of(sid: &str) -> u32 {
    sid.split('.').nth(1).unwrap().parse().unwrap()
}

/// Polls over a connection of its own.
pub(crate) async fn poll(address: SocketAddr, sid: &str) -> Response {
    Http::connect(address).await.poll(sid).await
}

/// Posts over a connection of its own.
pub(crate) async fn post(address: SocketAddr, sid: &str, body: &str) -> Response {
    Http::connect(address).await.post(sid, body).await
}
