//! Owns the questions to a nats-server about its state: its greeting, and its HTTP monitoring endpoints.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that takes longer is not ready.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// State of JetStream's meta group, as one node sees it.
#[derive(Debug)]
pub(super) struct JetStream {
    pub(super) leader: Option<String>,
    /// Known to the leader only: followers that have everything it has.
    pub(super) current_followers: usize,
}

/// Whether a client that connects is greeted.
pub(super) async fn greets(port: u16) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut first = [0; 5];
        stream.read_exact(&mut first).await?;
        std::io::Result::Ok(first == *b"INFO ")
    };
    matches!(timeout(ANSWER_TIMEOUT, greeting).await, Ok(Ok(true)))
}

/// Whether the server says that it and its JetStream are ready.
pub(super) async fn is_healthy(port: u16) -> bool {
    get(port, "/healthz").await.is_ok()
}

pub(super) async fn jetstream(port: u16) -> Result<JetStream> {
    let body = get(port, "/jsz").await?;
    let answer: Value = serde_json::from_str(&body).context("/jsz is not JSON")?;
    let meta = &answer["meta_cluster"];
    let leader = meta["leader"].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let followers = meta["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let current = |follower: &&Value| follower["current"] == true && follower["offline"] != true;
    Ok(JetStream { leader, current_followers: followers.iter().filter(current).count() })
}

/// The body of a 200 answer. HTTP/1.0 makes the server close when it has said everything, so there is nothing to parse.
async fn get(port: u16, path: &str) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(ANSWER_TIMEOUT, exchange).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("{path} answered {status}");
    }
    Ok(body.to_owned())
}
