//! Asks a NATS server's monitoring endpoint what no client can see: whether the server syncs what it acknowledges.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use huddle_log::LogError;
use hyper::{
    Request, StatusCode, Uri,
    client::conn::http1::handshake,
    header::{CONNECTION, HOST},
    http::uri::Scheme,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use crate::retry::Cause;

/// How long one question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// What an answer may take in bytes; a server's is some kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const PORT: u16 = 8222;

/// The monitoring endpoint of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// `host:port`.
    authority: String,
    /// Where the endpoints begin, without a slash at its end.
    base: String,
}

/// What a server's monitoring says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorFacts {
    /// The server's name.
    pub name: String,
    /// The server's id: another one after every start.
    pub id: String,
    /// When JetStream syncs to disk; `None` where there is no JetStream.
    pub sync: Option<SyncPolicy>,
}

/// When a server syncs to disk what it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it acknowledges.
    Always,
    /// So often.
    Every(Duration),
}

impl Monitor {
    /// Takes an address of the setting `monitors` apart.
    pub(crate) fn parse(address: &str) -> Result<Self, LogError> {
        // The address itself is not repeated: somebody may have written a password into it.
        let refused = || LogError::Unsuitable {
            problem: "an entry of `monitors` is no monitoring address".to_owned(),
            remedy: "write it as http://host:8222, without user and password".to_owned(),
        };
        let uri: Uri = address.parse().map_err(|_| refused())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(refused)?;
        if uri.scheme() != Some(&Scheme::HTTP) || authority.host().is_empty() || uri.query().is_some() {
            return Err(refused());
        }
        let port = authority.port_u16().unwrap_or(PORT);
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: format!("{}:{port}", authority.host()), base })
    }

    /// Asks the server, once and for some seconds at most.
    pub(crate) async fn ask(&self) -> Result<MonitorFacts, Cause> {
        let answer = timeout(ASK_TIMEOUT, self.get("/varz")).await;
        let answer = answer.map_err(|_| Cause::new("no answer in time"))??;
        let answer: Varz =
            serde_json::from_slice(&answer).map_err(|_| Cause::new("the answer is not that of a NATS server"))?;
        Ok(answer.into())
    }

    async fn get(&self, path: &str) -> Result<Bytes, Cause> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| Cause::of(&error))?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| Cause::of(&error))?;
        let request = Request::get(format!("{}{path}", self.base))
            .header(HOST, &self.authority)
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Cause::of(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| Cause::of(&error))?;
            if response.status() != StatusCode::OK {
                return Err(Cause::new(&format!("it answers {}", response.status())));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok(body.map_err(|error| Cause::of(error.as_ref()))?.to_bytes())
        };
        tokio::pin!(exchange);
        // The connection does the reading and writing; when it has ended, the rest of the answer is there.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }
}

/// The server's own words, of which most are left out.
#[derive(Deserialize)]
struct Varz {
    server_id: String,
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    /// Left out where it is false.
    #[serde(default)]
    sync_always: bool,
    /// In nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

impl From<Varz> for MonitorFacts {
    fn from(varz: Varz) -> Self {
        let sync = varz.jetstream.config.map(|config| match config {
            JetStreamConfig { sync_always: true, .. } => SyncPolicy::Always,
            JetStreamConfig { sync_interval, .. } => SyncPolicy::Every(Duration::from_nanos(sync_interval)),
        });
        Self { name: varz.server_name, id: varz.server_id, sync }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_or_refused() {
        let of = |address| Monitor::parse(address).ok().map(|monitor| (monitor.authority, monitor.base));
        let good = |authority: &str, base: &str| Some((authority.to_owned(), base.to_owned()));
        assert_eq!(of("http://n1:8222"), good("n1:8222", ""));
        assert_eq!(of("http://n1"), good("n1:8222", ""));
        assert_eq!(of("http://[::1]:81/"), good("[::1]:81", ""));
        assert_eq!(of("http://proxy:80/nats/1/"), good("proxy:80", "/nats/1"));
        for bad in ["", "n1", "n1:8222", "https://n1:8222", "nats://n1:4222", "http://u:p@n1:8222", "http://n1/?a=b"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_server_that_says_so_syncs_always() {
        let sync = |jetstream: &str| {
            let varz = format!(r#"{{"server_id": "I", "server_name": "n1", "port": 1{jetstream}}}"#);
            MonitorFacts::from(serde_json::from_str::<Varz>(&varz).unwrap()).sync
        };
        let minutes = |minutes| Some(SyncPolicy::Every(Duration::from_mins(minutes)));
        assert_eq!(sync(""), None);
        assert_eq!(sync(r#", "jetstream": {}"#), None);
        assert_eq!(sync(r#", "jetstream": {"config": {"sync_interval": 120000000000}}"#), minutes(2));
        assert_eq!(
            sync(r#", "jetstream": {"config": {"sync_interval": 120000000000, "sync_always": false}}"#),
            minutes(2)
        );
        assert_eq!(
            sync(r#", "jetstream": {"config": {"sync_interval": 1, "sync_always": true}}"#),
            Some(SyncPolicy::Always)
        );
    }
}
