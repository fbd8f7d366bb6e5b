//! Owns requests to NATS that go past Huddle: the least of a NATS client, one request and one answer on a connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// In a cluster an answer can get lost: the news that somebody waits for it may travel slower than the answer itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS_MAX: usize = 5;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// Whoever it is.
    Anybody,
    /// The user `system`, with this password.
    System(&'a str),
}

/// Asks the server at `url` (`nats://host:port`) for something whose answer is JSON. A request can be made more than once.
///
/// # Errors
/// When nobody answers, or the answer holds an `error`.
pub(crate) async fn request(url: &str, asker: Asker<'_>, subject: &str, payload: &str) -> Result<Value> {
    for _ in 0..ATTEMPTS_MAX {
        if let Ok(answer) = timeout(ANSWER_TIMEOUT, ask(url, asker, subject, "", payload.as_bytes())).await {
            let answer: Value = serde_json::from_slice(&answer?).with_context(|| format!("the answer to {subject}"))?;
            if answer["error"].is_object() {
                bail!("{subject}: {}", answer["error"]);
            }
            return Ok(answer);
        }
    }
    bail!("{subject} was never answered")
}

/// Appends `payload` as it is to the stream that has `subject`, and returns its position. Once only, however often it has to
/// be asked: the stream knows it by `message_id`.
///
/// # Errors
/// When nobody answers, or the stream refuses it.
pub(crate) async fn append(url: &str, subject: &str, message_id: &str, payload: &[u8]) -> Result<u64> {
    let headers = format!("NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n\r\n");
    for _ in 0..ATTEMPTS_MAX {
        let asked = ask(url, Asker::Anybody, subject, &headers, payload);
        // Without a leader for the moment nobody answers at all.
        let Ok(Ok(answer)) = timeout(ANSWER_TIMEOUT, asked).await else { continue };
        let answer: Value = serde_json::from_slice(&answer).with_context(|| format!("the answer to {subject}"))?;
        // A refusal names position 0.
        return answer["seq"].as_u64().filter(|seq| *seq > 0).with_context(|| format!("{subject}: {answer}"));
    }
    bail!("nobody takes what is published to {subject}")
}

/// `headers` as they stand on the connection; empty for none.
async fn ask(url: &str, asker: Asker<'_>, subject: &str, headers: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let address = url.strip_prefix("nats://").unwrap_or(url);
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut hello = json!({"verbose": false, "lang": "test", "version": "0", "headers": true, "no_responders": true});
    if let Asker::System(password) = asker {
        hello["user"] = json!("system");
        hello["pass"] = json!(password);
    }
    let (head, all) = (headers.len(), headers.len() + payload.len());
    let publish = if headers.is_empty() {
        format!("PUB {subject} _INBOX.test {all}\r\n")
    } else {
        format!("HPUB {subject} _INBOX.test {head} {all}\r\n{headers}")
    };
    let said = format!("CONNECT {hello}\r\nSUB _INBOX.test 1\r\n{publish}");
    stream.write_all(&[said.as_bytes(), payload, b"\r\n"].concat()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["MSG", .., length] => {
                let mut answer = vec![0; length.parse()?];
                stream.read_exact(&mut answer).await?;
                return Ok(answer);
            }
            ["HMSG", ..] => bail!("nobody answers {subject}"),
            ["-ERR", ..] => bail!("{subject}: {}", line.trim()),
            _ => line.clear(),
        }
    }
    bail!("the server closed the connection")
}
