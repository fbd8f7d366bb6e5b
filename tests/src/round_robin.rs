//! Owns a proxy that gives every request to the next gateway in turn, as a load balancer without sticky sessions does.
//!
//! It knows of HTTP only the head of a request: a connection carries one request, or one WebSocket. What either side
//! closes is closed on the other, so that a gateway notices a poll that nobody waits for any longer.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::service;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const NOBODY_THERE: &str = "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A running proxy. It ends when it is dropped, with all that it carries.
#[derive(Debug)]
pub struct RoundRobin {
    url: String,
    gateways: Arc<Mutex<Gateways>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Gateways {
    addresses: Vec<SocketAddr>,
    next: usize,
    requests: HashMap<SocketAddr, usize>,
}

impl RoundRobin {
    /// Starts a proxy in front of gateways, given as `http://host:port`.
    pub async fn start(gateways: &[String]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        let url = format!("http://{}", listener.local_addr()?);
        let gateways = Gateways { addresses: addresses(gateways)?, next: 0, requests: HashMap::new() };
        let gateways = Arc::new(Mutex::new(gateways));
        let task = tokio::spawn(accept(listener, Arc::clone(&gateways)));
        Ok(Self { url, gateways, task })
    }

    /// `http://host:port` of the proxy.
    pub fn http_url(&self) -> &str {
        &self.url
    }

    /// The WebSocket endpoint of Huddle's own protocol behind the proxy.
    pub fn ws_url(&self) -> String {
        service::ws_url(&self.url)
    }

    /// Gives further requests to other gateways. What is under way stays where it is.
    pub fn lead_to(&self, gateways: &[String]) -> Result<()> {
        let addresses = addresses(gateways)?;
        lock(&self.gateways).addresses = addresses;
        Ok(())
    }

    /// How many requests the gateway at `http://host:port` was given.
    pub fn requests_to(&self, gateway: &str) -> Result<usize> {
        let address = address(gateway)?;
        Ok(lock(&self.gateways).requests.get(&address).copied().unwrap_or_default())
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").with_context(|| format!("{url} is no http:// URL"))?;
    address.parse().with_context(|| format!("{url} names no address"))
}

fn addresses(urls: &[String]) -> Result<Vec<SocketAddr>> {
    urls.iter().map(|url| address(url)).collect()
}

fn lock(gateways: &Mutex<Gateways>) -> std::sync::MutexGuard<'_, Gateways> {
    gateways.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, gateways: Arc<Mutex<Gateways>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, Arc::clone(&gateways)));
            },
            // Both ends of a connection know already how it ended.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one request, or one WebSocket, until either side closes.
async fn carry(mut client: TcpStream, gateways: Arc<Mutex<Gateways>>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(request) = read_head(&mut client).await? else { return Ok(()) };
    let Some(mut gateway) = connect(&gateways).await else {
        return client.write_all(NOBODY_THERE.as_bytes()).await;
    };
    gateway.set_nodelay(true)?;
    gateway.write_all(&request).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_gateway, mut to_gateway) = gateway.split();
    tokio::select! {
        answered = tokio::io::copy(&mut from_gateway, &mut to_client) => {
            answered?;
            to_client.shutdown().await
        }
        left = tokio::io::copy(&mut from_client, &mut to_gateway) => left.map(drop),
    }
}

/// Reads up to the end of a request's head; `None` at the end of the connection. Returns all that was read, in which
/// one that is no upgrade says that its connection carries no other.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if read.len() > HEAD_BYTES_MAX || client.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    };
    let head = std::str::from_utf8(&read[..end]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let names = |line: &str, name: &str| line.split(':').next().is_some_and(|field| field.eq_ignore_ascii_case(name));
    if head.split("\r\n").any(|line| names(line, "upgrade")) {
        return Ok(Some(read));
    }
    let lines = head.split("\r\n").filter(|line| !names(line, "connection") && !names(line, "keep-alive"));
    let mut request = lines.collect::<Vec<_>>().join("\r\n");
    request.push_str("\r\nConnection: close");
    let mut request = request.into_bytes();
    request.extend_from_slice(&read[end..]);
    Ok(Some(request))
}

/// Connects to the gateway whose turn it is, or to the next one that is there.
async fn connect(gateways: &Mutex<Gateways>) -> Option<TcpStream> {
    let candidates = {
        let mut gateways = lock(gateways);
        let count = gateways.addresses.len();
        let first = gateways.next;
        gateways.next = gateways.next.wrapping_add(1);
        (0..count).map(|index| gateways.addresses[(first % count + index) % count]).collect::<Vec<_>>()
    };
    for address in candidates {
        if let Ok(gateway) = TcpStream::connect(address).await {
            *lock(gateways).requests.entry(address).or_default() += 1;
            return Some(gateway);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::mpsc, time::timeout};

    use super::*;
    use crate::http;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A gateway that answers every request with its own name, except `/poll`, which it lets wait. Says when a
    /// connection ends.
    async fn gateway(name: &'static str, ended: mpsc::UnboundedSender<&'static str>) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let ended = ended.clone();
                tokio::spawn(async move {
                    let request = String::from_utf8(read_head(&mut client).await.unwrap().unwrap()).unwrap();
                    assert!(request.contains("\r\nConnection: close\r\n\r\n"), "{request}");
                    if request.starts_with("GET /poll ") {
                        assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0);
                    } else {
                        let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{name}");
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                    ended.send(name).ok();
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn every_request_goes_to_the_next_gateway_that_is_there() {
        let (ended, _ends) = mpsc::unbounded_channel();
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let [one, two] = [gateway("one", ended.clone()).await, gateway("two", ended).await];
        let proxy = RoundRobin::start(&[one.clone(), two.clone()]).await.unwrap();
        let ask = async || http::get(proxy.http_url(), None).await.unwrap().body;
        assert_eq!([ask().await, ask().await, ask().await], ["one", "two", "one"]);
        assert_eq!((proxy.requests_to(&one).unwrap(), proxy.requests_to(&two).unwrap()), (2, 1));
        proxy.lead_to(&[format!("http://{gone}"), two]).unwrap();
        assert_eq!([ask().await, ask().await], ["two", "two"]);
        proxy.lead_to(&[format!("http://{gone}")]).unwrap();
        assert_eq!(http::get(proxy.http_url(), None).await.unwrap().status, 502);
    }

    #[tokio::test]
    async fn a_gateway_notices_that_nobody_waits_for_its_answer_any_longer() {
        let (ended, mut ends) = mpsc::unbounded_channel();
        let proxy = RoundRobin::start(&[gateway("one", ended).await]).await.unwrap();
        let address = proxy.http_url().strip_prefix("http://").unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /poll HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        assert!(timeout(Duration::from_millis(100), ends.recv()).await.is_err(), "the poll ended by itself");
        drop(client);
        assert_eq!(timeout(PATIENCE, ends.recv()).await.unwrap(), Some("one"));
    }
}
