//! Owns what stands between a fleet and the gateways.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const CHUNK_BYTES: usize = 16 * 1024;
/// After accepting failed: file descriptors may be short for a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const NOBODY_THERE: &str = "HTTP/1.0 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What stands between a fleet and the gateways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Front {
    /// Nothing: each client goes to one gateway after the other.
    #[default]
    Direct,
    /// A load balancer that gives each request to the next gateway: [`RoundRobin`](crate::RoundRobin).
    RoundRobin,
    /// An old-fashioned one before each gateway: [`OldProxy`].
    OldProxies {
        /// After so much silence it ends a connection.
        idle: Duration,
    },
}

/// A proxy as they are by default: it asks the gateway in HTTP/1.0, one request on each connection, and passes an answer on
/// only when it has all of it. WebSockets it passes through. What is silent for too long in both directions it ends. It goes
/// when it is dropped.
#[derive(Debug)]
pub struct OldProxy {
    address: SocketAddr,
    task: AbortHandle,
}

impl OldProxy {
    /// Starts one before the gateway at `target`.
    pub async fn start(target: SocketAddr, idle: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        // Both ends of a connection know how it ended.
                        Ok((client, _)) => drop(connections.spawn(carry(client, target, idle))),
                        Err(_) => sleep(ACCEPT_PAUSE).await,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, task: task.abort_handle() })
    }

    /// `http://host:port` of the proxy.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for OldProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, idle: Duration) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some((head, body)) = timeout(idle, read_head(&mut client)).await?? else { return Ok(()) };
    let Ok(mut gateway) = TcpStream::connect(target).await else {
        return client.write_all(NOBODY_THERE.as_bytes()).await;
    };
    gateway.set_nodelay(true)?;
    if names(&head, "upgrade") {
        gateway.write_all(&[head.as_bytes(), b"\r\n\r\n", &body].concat()).await?;
        return tunnel(client, gateway, idle).await;
    }
    gateway.write_all(in_http_1_0(&head).as_bytes()).await?;
    gateway.write_all(&body).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_gateway, mut to_gateway) = gateway.split();
    let mut answer = Vec::new();
    let all_of_it = async {
        // With the answer's end the gateway closes.
        while timeout(idle, from_gateway.read_buf(&mut answer)).await?? > 0 {}
        io::Result::Ok(())
    };
    tokio::select! {
        outcome = all_of_it => outcome?,
        // The rest of the body; and the end of a client that does not wait any longer.
        left = tokio::io::copy(&mut from_client, &mut to_gateway) => return left.map(drop),
    }
    to_client.write_all(&answer).await?;
    to_client.shutdown().await
}

/// Reads a request's head; `None` at the end of the connection. Returns it, and what was read of the body.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            read.truncate(end);
            let head = String::from_utf8(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            return Ok(Some((head, body)));
        }
        if read.len() > HEAD_BYTES_MAX || client.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

fn names(head: &str, name: &str) -> bool {
    head.split("\r\n").any(|line| is_field(line, name))
}

fn is_field(line: &str, name: &str) -> bool {
    line.split(':').next().is_some_and(|field| field.eq_ignore_ascii_case(name))
}

/// The head of a request as such a proxy passes it on.
fn in_http_1_0(head: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        if lines.is_empty() {
            lines.push(line.replacen(" HTTP/1.1", " HTTP/1.0", 1));
        } else if !is_field(line, "connection") && !is_field(line, "keep-alive") {
            lines.push(line.to_owned());
        }
    }
    format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"))
}

/// Passes bytes on until either side ends, or both have been silent for too long.
async fn tunnel(mut client: TcpStream, mut gateway: TcpStream, idle: Duration) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_gateway, to_gateway) = gateway.split();
    let passed = Notify::new();
    let silent = async { while timeout(idle, passed.notified()).await.is_ok() {} };
    tokio::select! {
        ended = pass(from_client, to_gateway, &passed) => ended,
        ended = pass(from_gateway, to_client, &passed) => ended,
        () = silent => Ok(()),
    }
}

async fn pass(mut reader: ReadHalf<'_>, mut writer: WriteHalf<'_>, passed: &Notify) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = reader.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        writer.write_all(&chunk[..length]).await?;
        passed.notify_one();
    }
}
