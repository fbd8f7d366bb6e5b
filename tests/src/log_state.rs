//! Owns looks into NATS that go past Huddle: through its monitoring endpoint.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use crate::http;

/// The last position of each of Huddle's streams, by its partition's number, as the node with that monitoring port
/// knows it.
pub(crate) async fn last_seqs(monitor_port: u16) -> Result<BTreeMap<u16, u64>> {
    let answer = http::get(&format!("http://127.0.0.1:{monitor_port}/jsz?streams=true"), None).await?;
    if answer.status != 200 {
        bail!("/jsz answered {}", answer.status);
    }
    let state = answer.json()?;
    let accounts = state["account_details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let streams = accounts.iter().filter_map(|account| account["stream_detail"].as_array()).flatten();
    let mut last_seqs = BTreeMap::new();
    for stream in streams {
        let Some(partition) = stream["name"].as_str().and_then(|name| name.strip_prefix("HUDDLE_LOG_")) else {
            continue;
        };
        let partition = partition.parse().context("a stream whose name ends with no number")?;
        last_seqs.insert(partition, stream["state"]["last_seq"].as_u64().context("a stream without last_seq")?);
    }
    Ok(last_seqs)
}
