//! Asks a service of this machine for its readiness.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::ports::local;

/// How long one question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// What is read of an answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Whether `/readyz` at the admin port `port` answers 200; else what it says.
pub(super) async fn readiness(port: u16) -> Result<(), String> {
    let answer = match timeout(ASK_TIMEOUT, get(port, "/readyz")).await {
        Ok(answer) => answer.map_err(|error| format!("{error:#}"))?,
        Err(_) => return Err("no answer".to_owned()),
    };
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body).trim().to_owned())
}

async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(local(port)).await.context("no connection")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}
