//! Calls over plain HTTP, and the record of them that is held against the description.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::Tools;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::timeout,
};

/// The path of a team's messages as the description writes it.
pub(crate) const MESSAGES: &str = "/v1/teams/{team}/messages";

/// The path of a team's events as the description writes it.
pub(crate) const EVENTS: &str = "/v1/teams/{team}/events";

/// Above the longest time for which a gateway waits for others.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A user of the REST interface.
pub(crate) struct Api {
    address: String,
    authorization: String,
    exchanges: Vec<Exchange>,
}

/// A call and its answer, as `openapi_check.py` reads it.
#[derive(Serialize)]
struct Exchange {
    method: String,
    path: &'static str,
    status: u16,
    content_type: String,
    body: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The body of an answer that must have `status`.
    pub(crate) fn expect(&self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "status {} instead of {status}: {}", self.status, self.body);
        Ok(serde_json::from_str(&self.body)?)
    }

    /// The code in a refusal that must have `status`.
    pub(crate) fn refused(&self, status: u16) -> Result<String> {
        let body = self.expect(status)?;
        Ok(body["error"]["code"].as_str().with_context(|| format!("no code: {body}"))?.to_owned())
    }
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        Self { address, authorization: format!("Bearer {token}"), exchanges: Vec::new() }
    }

    /// A page of the messages of `team`, which is put into the path as it is.
    pub(crate) async fn list(&mut self, team: &str, query: &str) -> Result<Answer> {
        let path = format!("/v1/teams/{team}/messages{query}");
        let authorization = self.authorization.clone();
        self.call("GET", MESSAGES, &path, Some(&authorization), None).await
    }

    /// A page of the events of `team`, which is put into the path as it is.
    pub(crate) async fn events(&mut self, team: &str, query: &str) -> Result<Answer> {
        let path = format!("/v1/teams/{team}/events{query}");
        let authorization = self.authorization.clone();
        self.call("GET", EVENTS, &path, Some(&authorization), None).await
    }

    pub(crate) async fn post(&mut self, team: &str, query: &str, body: &Value) -> Result<Answer> {
        let path = format!("/v1/teams/{team}/messages{query}");
        let authorization = self.authorization.clone();
        self.call("POST", MESSAGES, &path, Some(&authorization), Some(body.to_string().as_bytes())).await
    }

    pub(crate) async fn post_bytes(&mut self, team: &str, body: &[u8]) -> Result<Answer> {
        let authorization = self.authorization.clone();
        let path = format!("/v1/teams/{team}/messages");
        self.call("POST", MESSAGES, &path, Some(&authorization), Some(body)).await
    }

    /// Announces a body of `bytes` and sends none of it.
    pub(crate) async fn post_announced(&mut self, team: &str, bytes: u64) -> Result<Answer> {
        let authorization = self.authorization.clone();
        let head = format!("Authorization: {authorization}\r\nContent-Length: {bytes}\r\n");
        self.exchange("POST", MESSAGES, &format!("/v1/teams/{team}/messages"), &head, b"").await
    }

    pub(crate) async fn call(
        &mut self,
        method: &str,
        template: &'static str,
        path: &str,
        authorization: Option<&str>,
        body: Option<&[u8]>,
    ) -> Result<Answer> {
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let length = body.map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        let head = [authorization, length].into_iter().flatten().collect::<String>();
        self.exchange(method, template, path, &head, body.unwrap_or_default()).await
    }

    async fn exchange(
        &mut self,
        method: &str,
        template: &'static str,
        path: &str,
        head: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{head}\r\n", self.address);
        let answer = timeout(ANSWER_TIMEOUT, answer_to(&self.address, &[head.as_bytes(), body].concat())).await;
        let answer = answer.with_context(|| format!("{method} {path:.100} took too long"))??;
        let answer = String::from_utf8(answer)?;
        let (head, body) =
            answer.split_once("\r\n\r\n").with_context(|| format!("{method} {path:.100}: {answer:?}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let content_type = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        self.exchanges.push(Exchange {
            method: method.to_owned(),
            path: template,
            status,
            content_type: content_type.map_or_else(String::new, |(_, value)| value.to_owned()),
            body: body.to_owned(),
        });
        Ok(Answer { status, body: body.to_owned() })
    }

    /// Adds the record of another user of the same gateway.
    pub(crate) fn take_exchanges(&mut self, other: Self) {
        self.exchanges.extend(other.exchanges);
    }

    /// Holds all exchanges against the description in this repository. Each promised status must have occurred, but those of
    /// `never`, such as `POST 503`, must not.
    pub(crate) async fn check_against_description(&self, never: Option<&str>) -> Result<()> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut check = Command::new(Tools::locate()?.python()?);
        check.arg(here.join("clients/openapi_check.py")).arg(here.join("../docs/reference/openapi.yaml"));
        check.args(never);
        check.stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut check = check.spawn().context("cannot start Python")?;
        let mut lines = String::new();
        for exchange in &self.exchanges {
            lines.push_str(&serde_json::to_string(exchange)?);
            lines.push('\n');
        }
        let mut input = check.stdin.take().context("no standard input")?;
        // It may end before it has read everything; then its status and its words say why.
        let _ = input.write_all(lines.as_bytes()).await;
        drop(input);
        let output = check.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "the description and the answers differ:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// What is answered to a request, which need not be read to its end.
async fn answer_to(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        let _ = writer.write_all(request).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // An error after the answer is the end as well.
        _ = reader.read_to_end(&mut answer) => {}
        () = write => {}
    }
    Ok(answer)
}
