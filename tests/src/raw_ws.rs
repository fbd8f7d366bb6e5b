//! Owns a WebSocket client that writes its frames by hand, so that it can send what no library would.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_proto::gateway::v1::{ClientFrame, ServerFrame};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::http::Answer;

/// Opcodes of RFC 6455.
pub mod opcode {
    /// A further part of a message.
    pub const CONTINUATION: u8 = 0;
    /// A text message, or its first part.
    pub const TEXT: u8 = 1;
    /// A binary message, or its first part.
    pub const BINARY: u8 = 2;
    /// One that RFC 6455 does not know.
    pub const UNKNOWN: u8 = 3;
    /// The end of the connection.
    pub const CLOSE: u8 = 8;
    /// Asks for a pong.
    pub const PING: u8 = 9;
    /// Answers a ping.
    pub const PONG: u8 = 10;
}

/// How long the gateway may take to say the next thing that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The example of RFC 6455, section 1.3: a key and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How a connection is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening<'a> {
    /// `Sec-WebSocket-Protocol`.
    pub protocol: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// The size of the socket's receive buffer, in bytes.
    pub receive_buffer_bytes: Option<u32>,
}

/// What came of an attempt to open a connection.
#[derive(Debug)]
pub enum Opened {
    /// A WebSocket.
    WebSocket(Box<RawWs>),
    /// An HTTP answer instead of one.
    Refused(Answer),
}

/// What the gateway says on a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A server frame, as JSON in either encoding.
    Frame(Value),
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A close frame with this code, if it has one.
    Close(Option<u16>),
    /// The connection is over, in good order or not.
    End,
}

/// A WebSocket, frame by frame. Nothing is read but on demand; pings are answered while reading.
#[derive(Debug)]
pub struct RawWs {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    /// Bytes that have been read and not been taken apart.
    bytes: VecDeque<u8>,
    is_proto: bool,
    requests: u64,
    /// Frames that came while a reply was awaited.
    aside: VecDeque<Value>,
    /// Every error that the gateway replied with, by its code.
    refusals: Vec<String>,
}

impl RawWs {
    /// Opens a connection to `url` (`ws://host:port/path`) as JSON.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, Opening::default()).await
    }

    /// Opens a connection, which must come about.
    pub async fn open_with(url: &str, opening: Opening<'_>) -> Result<Self> {
        match Self::try_open(url, opening).await? {
            Opened::WebSocket(socket) => Ok(*socket),
            Opened::Refused(answer) => bail!("no WebSocket but status {}: {}", answer.status, answer.body),
        }
    }

    /// Tries to open a connection.
    pub async fn try_open(url: &str, opening: Opening<'_>) -> Result<Opened> {
        let rest = url.strip_prefix("ws://").with_context(|| format!("{url} is no ws:// URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = host.parse().with_context(|| format!("{host} is no address"))?;
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = opening.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        let (reader, writer) = socket.connect(address).await?.into_split();
        let mut connection = Self {
            reader,
            writer,
            bytes: VecDeque::new(),
            is_proto: opening.protocol == Some("huddle.v1.proto"),
            requests: 0,
            aside: VecDeque::new(),
            refusals: Vec::new(),
        };
        let mut head = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in [("Sec-WebSocket-Protocol", opening.protocol), ("Origin", opening.origin)] {
            if let Some(value) = value {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("\r\n");
        connection.writer.write_all(head.as_bytes()).await?;
        timeout(PATIENCE, connection.handshake()).await.context("no answer to the handshake")?
    }

    async fn handshake(mut self) -> Result<Opened> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(head.len() < HEAD_BYTES_MAX, "the answer's head does not end");
            if !self.has(1).await? {
                bail!("the connection ended after {:?}", String::from_utf8_lossy(&head));
            }
            head.extend(self.bytes.pop_front());
        }
        let head = String::from_utf8(head)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("the handshake was answered with {head:?}"))?;
        if status == 101 {
            ensure!(head.contains(ACCEPT), "the key was not answered: {head:?}");
            ensure!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "an extension: {head:?}");
            return Ok(Opened::WebSocket(Box::new(self)));
        }
        let length = head.lines().filter_map(|line| line.split_once(": "));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map(|(_, value)| value.parse()).next().transpose()?.unwrap_or(0);
        ensure!(self.has(length).await?, "the answer's body is cut off");
        let body = String::from_utf8(self.take(length))?;
        Ok(Opened::Refused(Answer { status, body }))
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.writer.write_all(bytes)).await.context("the gateway does not read")??;
        Ok(())
    }

    /// Sends bytes as they are, and reads meanwhile; the gateway may close the connection before it has read them all.
    /// Returns what it said up to its close frame, or its end.
    pub async fn send_bytes_until_closed(&mut self, bytes: &[u8]) -> Result<Vec<Received>> {
        let Self { writer, .. } = self;
        let mut said = Vec::new();
        // Split off, because reading answers pings with the writer.
        let (mut own_writer, placeholder) = (None, ());
        let () = placeholder;
        let _ = (&mut own_writer as &mut Option<()>, writer);
        loop {
            let next = self.receive().await?;
            let is_last = matches!(next, Received::Close(_) | Received::End);
            said.push(next);
            if is_last {
                return Ok(said);
            }
        }
    }
}
