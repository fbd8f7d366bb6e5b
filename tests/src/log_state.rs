//! Owns looks into NATS that go past Huddle: through its monitoring endpoint.

use anyhow::{Context as _, Result, bail};

use crate::http;

/// What a NATS node knows of a stream of Huddle's.
#[derive(Debug, Clone)]
pub(crate) struct StreamState {
    /// The number of its partition.
    pub(crate) partition: u16,
    /// Its last position.
    pub(crate) last_seq: u64,
    /// The name of the node that leads it; of a server that is alone, none.
    pub(crate) leader: Option<String>,
}

/// All streams of Huddle's, as the node with that monitoring port knows them.
pub(crate) async fn streams(monitor_port: u16) -> Result<Vec<StreamState>> {
    let answer = http::get(&format!("http://127.0.0.1:{monitor_port}/jsz?streams=true"), None).await?;
    if answer.status != 200 {
        bail!("/jsz answered {}", answer.status);
    }
    let state = answer.json()?;
    let accounts = state["account_details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut streams = Vec::new();
    for stream in accounts.iter().filter_map(|account| account["stream_detail"].as_array()).flatten() {
        let Some(partition) = stream["name"].as_str().and_then(|name| name.strip_prefix("HUDDLE_LOG_")) else {
            continue;
        };
        streams.push(StreamState {
            partition: partition.parse().context("a stream whose name ends with no number")?,
            last_seq: stream["state"]["last_seq"].as_u64().context("a stream without last_seq")?,
            leader: stream["cluster"]["leader"].as_str().map(str::to_owned),
        });
    }
    Ok(streams)
}
