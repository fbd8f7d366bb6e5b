//! Owns a WebSocket client that writes its frames by hand, so that it can send what no library would.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_proto::gateway::v1::ServerFrame;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
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

/// The bit of a frame's first byte that says that it is a message's last.
const FIN: u8 = 0x80;
/// The bit of a frame's second byte that says that it is masked.
const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
/// Says that the length follows in two bytes; shorter ones stand for themselves.
const IN_TWO_BYTES: u8 = 0x7e;
/// Says that the length follows in eight bytes.
const IN_EIGHT_BYTES: u8 = 0x7f;
/// The close code of an orderly end.
const NORMAL: u16 = 1000;
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
/// How long the gateway may take to say the next thing that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The example of RFC 6455, section 1.3: a key and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEAD_BYTES_MAX: usize = 16 * 1024;
const READ_BYTES: usize = 64 * 1024;

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
    stream: TcpStream,
    /// What has been read and not been taken apart.
    bytes: Vec<u8>,
    is_proto: bool,
    requests: u64,
    /// What came while a reply was awaited.
    aside: VecDeque<Received>,
    refusals: Vec<String>,
    close_reason: String,
}

impl RawWs {
    /// Opens a connection to `url` (`ws://address:port/path`) as JSON.
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
        let mut connection = Self {
            stream: socket.connect(address).await?,
            bytes: Vec::new(),
            is_proto: opening.protocol == Some("huddle.v1.proto"),
            requests: 0,
            aside: VecDeque::new(),
            refusals: Vec::new(),
            close_reason: String::new(),
        };
        let mut head = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in [("Sec-WebSocket-Protocol", opening.protocol), ("Origin", opening.origin)] {
            head.extend(value.map(|value| format!("{name}: {value}\r\n")));
        }
        connection.send_bytes(format!("{head}\r\n").as_bytes()).await?;
        timeout(PATIENCE, connection.handshake()).await.context("no answer to the handshake")?
    }

    async fn handshake(mut self) -> Result<Opened> {
        let head_bytes = loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.bytes.len() < HEAD_BYTES_MAX, "the answer's head does not end");
            ensure!(self.read_more().await, "the connection ended after {:?}", String::from_utf8_lossy(&self.bytes));
        };
        let head = String::from_utf8(self.bytes.drain(..head_bytes).collect())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("the handshake was answered with {head:?}"))?;
        if status == 101 {
            ensure!(head.contains(ACCEPT), "the key was not answered: {head:?}");
            ensure!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "an extension: {head:?}");
            return Ok(Opened::WebSocket(Box::new(self)));
        }
        let mut lengths = head.lines().filter_map(|line| line.split_once(": "));
        let length = lengths.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(Ok(0), |(_, value)| value.parse())?;
        while self.bytes.len() < length {
            ensure!(self.read_more().await, "the answer's body is cut off");
        }
        let body = String::from_utf8(self.bytes.drain(..length).collect())?;
        Ok(Opened::Refused(Answer { status, head: Vec::new(), body }))
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.context("the gateway does not read")??;
        Ok(())
    }

    /// Sends a whole message.
    pub async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        self.send_bytes(&frame(true, opcode, payload)).await
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: &str) -> Result<()> {
        self.send(opcode::TEXT, text.as_bytes()).await
    }

    /// Ends the stream of what is sent, without a close frame; receiving goes on.
    pub async fn stop_sending(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Sends bytes as they are, to a gateway that may close the connection before it has read them all. Reads meanwhile;
    /// returns everything that the gateway said until the connection was over.
    pub async fn send_until_the_end(&mut self, bytes: &[u8]) -> Result<Vec<Received>> {
        let (mut reader, mut writer) = self.stream.split();
        let write = async {
            // The gateway may have gone by then: what it said is what counts.
            let _ = writer.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let received = &mut self.bytes;
        let read = async {
            // An error is the end as well.
            while !holds_close(received) && reader.read_buf(received).await.unwrap_or_default() > 0 {}
        };
        let exchange = async {
            tokio::select! {
                () = read => {}
                () = write => {}
            }
        };
        timeout(PATIENCE, exchange).await.context("the connection does not end")?;
        self.until_the_end().await
    }

    /// Everything that the gateway says until the connection is over.
    pub async fn until_the_end(&mut self) -> Result<Vec<Received>> {
        let mut said = Vec::new();
        loop {
            match self.receive().await? {
                Received::End => return Ok(said),
                Received::Close(code) => {
                    said.push(Received::Close(code));
                    // The gateway waits a moment for the answer to its close; it may have gone all the same.
                    let _ = self.send(opcode::CLOSE, &code.unwrap_or(NORMAL).to_be_bytes()).await;
                    let _ = self.stream.shutdown().await;
                }
                received => said.push(received),
            }
        }
    }

    /// What the gateway says next.
    pub async fn receive(&mut self) -> Result<Received> {
        match self.aside.pop_front() {
            Some(received) => Ok(received),
            None => timeout(PATIENCE, self.receive_next()).await.context("the gateway says nothing")?,
        }
    }

    /// The next server frame.
    pub async fn receive_frame(&mut self) -> Result<Value> {
        match self.receive().await? {
            Received::Frame(frame) => Ok(frame),
            other => bail!("{other:?} came instead of a frame"),
        }
    }

    /// Sends a request as JSON, such as `{"ping": {}}`, and returns its reply. What comes before that is kept for
    /// [`RawWs::receive`].
    pub async fn request(&mut self, mut request: Value) -> Result<Value> {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        request["id"] = json!(id);
        self.text(&request.to_string()).await?;
        self.reply_to(&id).await
    }

    /// The reply to the request `id`; empty for a reply that could not tell.
    pub async fn reply_to(&mut self, id: &str) -> Result<Value> {
        loop {
            let received = timeout(PATIENCE, self.receive_next()).await;
            let received = received.with_context(|| format!("there is no reply to {id:?}"))??;
            match received {
                Received::Frame(frame) if frame["reply_to"].as_str().unwrap_or_default() == id && is_reply(&frame) => {
                    return Ok(frame);
                }
                Received::Close(_) | Received::End => bail!("{received:?} came instead of a reply to {id:?}"),
                other => self.aside.push_back(other),
            }
        }
    }

    /// Says hello; the token must be good.
    pub async fn hello(&mut self, token: &str) -> Result<()> {
        let reply = self.request(json!({"hello": {"token": token}})).await?;
        ensure!(reply.get("welcome").is_some(), "no welcome but {reply}");
        Ok(())
    }

    /// What came while replies were awaited and has not been received yet.
    pub fn take_received(&mut self) -> Vec<Received> {
        self.aside.drain(..).collect()
    }

    /// The codes of all errors that have been received so far, each as often as it came.
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    /// The reason that the gateway gave for its close; empty when it gave none, or has not closed.
    pub fn close_reason(&self) -> &str {
        &self.close_reason
    }

    /// Reads one byte, which there must be, and keeps it for later.
    pub async fn read_a_byte(&mut self) -> Result<()> {
        let byte = timeout(PATIENCE, self.stream.read_u8()).await.context("there is nothing to read")??;
        self.bytes.push(byte);
        Ok(())
    }

    async fn receive_next(&mut self) -> Result<Received> {
        loop {
            let Some((opcode, payload)) = self.next_frame().await? else { return Ok(Received::End) };
            match opcode {
                opcode::PING => self.send(opcode::PONG, &payload).await?,
                opcode::PONG => return Ok(Received::Pong(payload)),
                opcode::CLOSE => {
                    self.close_reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    return Ok(Received::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))));
                }
                opcode::TEXT if !self.is_proto => return self.note(serde_json::from_slice(&payload)?),
                opcode::BINARY if self.is_proto => {
                    return self.note(serde_json::to_value(ServerFrame::decode(payload.as_slice())?)?);
                }
                other => bail!("a frame of opcode {other}"),
            }
        }
    }

    fn note(&mut self, frame: Value) -> Result<Received> {
        if let Some(error) = frame.get("error") {
            self.refusals.push(error["code"].as_str().context("an error without a code")?.to_owned());
        }
        Ok(Received::Frame(frame))
    }

    /// The next WebSocket frame, which servers do not mask and this one does not fragment; `None` at the end.
    async fn next_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((head, length)) = lengths(&self.bytes)
                && self.bytes.len() >= head + length
            {
                let first = self.bytes[0];
                ensure!(first & FIN != 0 && first & RESERVED == 0, "a frame that begins with {first:#x}");
                self.bytes.drain(..head);
                return Ok(Some((first & OPCODE, self.bytes.drain(..length).collect())));
            }
            if !self.read_more().await {
                return Ok(None);
            }
        }
    }

    /// Whether there was more to read; a connection that was reset is at its end as well.
    async fn read_more(&mut self) -> bool {
        let mut chunk = vec![0; READ_BYTES];
        match self.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.bytes.extend_from_slice(&chunk[..count]);
                true
            }
        }
    }
}

/// Lengths of the head and the payload of a server's frame, once enough of it is there.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let extended = bytes.get(2..)?;
    match bytes[1] {
        IN_TWO_BYTES => Some((4, u16::from_be_bytes(*extended.first_chunk()?).into())),
        IN_EIGHT_BYTES => Some((10, usize::try_from(u64::from_be_bytes(*extended.first_chunk()?)).ok()?)),
        length => Some((2, length.into())),
    }
}

/// Whether a close frame is among whole frames of a server.
fn holds_close(mut bytes: &[u8]) -> bool {
    while let Some((head, length)) = lengths(bytes) {
        if bytes[0] & OPCODE == opcode::CLOSE {
            return true;
        }
        let Some(rest) = bytes.get(head + length..) else { return false };
        bytes = rest;
    }
    false
}

fn is_reply(frame: &Value) -> bool {
    const UNASKED: [&str; 6] = ["event", "caught_up", "stored", "subscription_ended", "token_expiring", "go_away"];
    !UNASKED.iter().any(|content| frame.get(content).is_some())
}

/// A client's frame: masked, with the shortest form of its length.
pub fn frame(is_last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(is_last, opcode, payload.len() as u64);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a client's frame that says that `length` bytes follow.
pub fn frame_head(is_last: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut head = vec![if is_last { FIN | opcode } else { opcode }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..IN_TWO_BYTES), _) => head.push(MASKED | short),
        (_, Ok(medium)) => {
            head.push(MASKED | IN_TWO_BYTES);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(MASKED | IN_EIGHT_BYTES);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(MASK);
    head
}
