//! Owns plain HTTP requests: one connection each, so that nothing of one test's client is left to another's.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields of the head, as they came; none of a WebSocket that is refused.
    pub head: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The first field `name` of the head, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}, no JSON: {}", self.status, self.body))
    }
}

/// `GET url`.
pub async fn get(url: &str, token: Option<&str>) -> Result<Answer> {
    request("GET", url, token, None).await
}

/// `POST url` with a JSON body.
pub async fn post(url: &str, token: Option<&str>, body: &str) -> Result<Answer> {
    request("POST", url, token, Some(body)).await
}

/// One request to `http://host:port/path`, within 20 s.
pub async fn request(method: &str, url: &str, token: Option<&str>, body: Option<&str>) -> Result<Answer> {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut fields: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
    fields.extend(body.map(|_| ("Content-Type", "application/json")));
    request_with(method, url, &fields, body).await
}

/// As [`request`], with the head's fields given.
pub async fn request_with(method: &str, url: &str, fields: &[(&str, &str)], body: Option<&str>) -> Result<Answer> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http:// URL"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let length = body.map(|body| format!("Content-Length: {}\r\n", body.len())).unwrap_or_default();
    let fields = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}{length}");
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(ANSWER_TIMEOUT, exchange).await.with_context(|| format!("{method} {url} took too long"))?;
    let answer = String::from_utf8(answer.with_context(|| format!("{method} {url}"))?)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("{method} {url} was answered with {answer:?}")
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{method} {url} was answered with {head:?}"))?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Ok(Answer { status, head: fields, body: if is_chunked { dechunked(body)? } else { body.to_owned() } })
}

fn dechunked(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk without a size")?;
        let size = usize::from_str_radix(size, 16).context("a chunk's size is no number")?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(after.get(..size).context("a chunk is cut off")?);
        rest = after.get(size + 2..).context("a chunk is cut off")?;
    }
}
