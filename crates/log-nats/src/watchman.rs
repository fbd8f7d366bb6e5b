//! Watches for occasions on which live messages may have been missed, and marks every feed: a leader that was replaced,
//! for one that dies may have committed events that nobody republishes; and a connection that was made again to a
//! cluster, where subscriptions take their time to reach the leaders. (A lost connection has marked the feeds already.)

use std::{iter, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap, Request,
    connection::State,
    header::{HeaderValue, NATS_EXPECTED_STREAM},
};
use futures_util::{StreamExt as _, stream};
use huddle_domain::{Partition, Partitions};
use huddle_log::LogError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    connect::Link,
    publisher::Reply,
    retry::{Cause, Limits, Miss, REQUEST_TIMEOUT, until_answered_for},
    stream as settings, subject,
};

/// Partitions that are asked at once after a reconnect.
const PROBES_AT_ONCE: usize = 16;
/// How long the leaders are tried before the feeds are marked without them.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// Pause after a subscription to the servers' advisories has failed.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);
/// A token that no team can have: its subject belongs to the stream, and nobody listens to what it would republish.
const PROBE_TOKEN: &str = "$probe";
/// No stream has this name, so a publish that expects it is refused by the leader and stores nothing.
const NO_STREAM: &str = "HUDDLE_PROBE";

/// Returns when the leader of `partition` has answered a request that was sent after everything that this client sent
/// before: subscriptions included, which travel to the leader's server on the same way. (Requests to the JetStream API
/// travel on another way and prove less.)
pub(crate) async fn reach_leader(link: &Link, partition: Partition, limits: Limits) -> Result<(), LogError> {
    until_answered_for("reaching the leader of a partition", limits, || async {
        let refusal = probe(link, partition).await?;
        if refusal.is_wrong_stream() || refusal.is_too_large() {
            return Ok(());
        }
        Err(Miss::Retry(Cause::new("the partition has no leader that answers")))
    })
    .await
}

/// Has the leader of `partition` refuse a publish, which names another stream; returns what it says.
pub(crate) async fn probe(link: &Link, partition: Partition) -> Result<Reply, Miss> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_STREAM, NO_STREAM.parse::<HeaderValue>().unwrap_or_default());
    let request = Request::new().headers(headers).timeout(Some(REQUEST_TIMEOUT));
    match link.client.send_request(probe_subject(partition), request).await {
        Ok(message) => Ok(Reply::parse(&message.payload)),
        Err(error) => {
            if error.kind() == async_nats::RequestErrorKind::NoResponders
                && settings::find(link, partition).await?.is_none()
            {
                return Err(Miss::Final(LogError::Missing { partition }));
            }
            Err(Miss::Retry(Cause::of(&error)))
        }
    }
}

/// A subject of the partition's stream under which there is never a message.
pub(crate) fn probe_subject(partition: Partition) -> String {
    format!("huddle.log.{partition}.{PROBE_TOKEN}")
}

/// Watches until `closed`.
pub(crate) async fn run(link: Arc<Link>, partitions: Partitions, closed: CancellationToken) {
    let mut connection = link.signals.connection.subscribe();
    let mut advisories = None;
    loop {
        if advisories.is_none() {
            advisories = link.client.subscribe(subject::LEADER_ELECTED_ALL).await.ok();
        }
        tokio::select! {
            () = closed.cancelled() => return,
            changed = connection.changed() => {
                if changed.is_err() {
                    return;
                }
                let is_cluster = link.client.try_server_info().is_some_and(|info| info.cluster.is_some());
                if is_cluster && link.client.connection_state() == State::Connected {
                    reach_leaders(&link, partitions.iter()).await;
                    link.signals.interrupt();
                }
            }
            advisory = next(advisories.as_mut()) => match advisory {
                Some(advisory) => {
                    if let Some(partition) = subject::partition_of_stream(subject::last_token(&advisory.subject)) {
                        tracing::info!(%partition, "a partition has a new leader");
                        link.signals.election.send_modify(|count| *count += 1);
                        link.signals.interrupt();
                        reach_leaders(&link, iter::once(partition)).await;
                        link.signals.interrupt();
                    }
                }
                None => advisories = None,
            },
        }
    }
}

async fn next(advisories: Option<&mut async_nats::Subscriber>) -> Option<async_nats::Message> {
    if let Some(advisories) = advisories {
        return advisories.next().await;
    }
    sleep(RESUBSCRIBE_PAUSE).await;
    None
}

/// Reaches every leader that can be reached soon. For those that cannot, the feeds are marked all the same, and again
/// when they have a leader.
async fn reach_leaders(link: &Link, partitions: impl Iterator<Item = Partition> + Send) {
    let limits = Limits { patience: PROBE_PATIENCE, ..Limits::default() };
    stream::iter(partitions)
        .for_each_concurrent(PROBES_AT_ONCE, |partition| async move {
            if let Err(error) = reach_leader(link, partition, limits).await {
                tracing::warn!(%partition, error = &error as &dyn std::error::Error, "partition not reached");
            }
        })
        .await;
}
