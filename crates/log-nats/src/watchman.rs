//! Watches for occasions on which live messages may have been missed, and marks every feed when one has passed: a
//! connection that was lost and made again, and a leader that was replaced. A leader that dies may have committed events
//! that nobody republishes.

use std::{sync::Arc, time::Duration};

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
    retry::{Cause, Miss, REQUEST_TIMEOUT, until_answered},
    stream as settings, subject,
};

/// Partitions that are asked at once after a reconnect.
const PROBES_AT_ONCE: usize = 16;
/// Pause after a subscription to the servers' advisories has failed.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);
/// A token that no team can have: its subject belongs to the stream, and nobody listens to what it would republish.
const PROBE_TOKEN: &str = "$probe";
/// No stream has this name, so a publish that expects it is refused by the leader and stores nothing.
const NO_STREAM: &str = "HUDDLE_PROBE";

/// Returns when the leader of `partition` has answered a request that was sent after everything that this client sent
/// before: subscriptions included, which travel to the leader's server on the same way. (Requests to the JetStream API
/// travel on another way and prove less.) The request is a publish that the leader refuses, for it names another stream.
pub(crate) async fn reach_leader(link: &Link, partition: Partition) -> Result<(), LogError> {
    let subject = format!("huddle.log.{partition}.{PROBE_TOKEN}");
    until_answered("reaching the leader of a partition", || async {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, NO_STREAM.parse::<HeaderValue>().unwrap_or_default());
        let request = Request::new().headers(headers).timeout(Some(REQUEST_TIMEOUT));
        match link.client.send_request(subject.clone(), request).await {
            Ok(message) if Reply::parse(&message.payload).is_wrong_stream() => Ok(()),
            Ok(_) => Err(Miss::Retry(Cause::new("the partition has no leader that answers"))),
            Err(error) => {
                if error.kind() == async_nats::RequestErrorKind::NoResponders
                    && settings::find(link, partition).await?.is_none()
                {
                    return Err(Miss::Final(LogError::Missing { partition }));
                }
                Err(Miss::Retry(Cause::of(&error)))
            }
        }
    })
    .await
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
                if link.client.connection_state() == State::Connected {
                    reach_leaders(&link, partitions).await;
                    link.signals.interrupt();
                }
            }
            advisory = next(advisories.as_mut()) => match advisory {
                Some(advisory) if subject::is_our_stream(&advisory.subject) => {
                    tracing::info!(stream = subject::last_token(&advisory.subject), "a partition has a new leader");
                    reach_leaders(&link, partitions).await;
                    link.signals.interrupt();
                }
                Some(_) => {}
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

/// Reaches every leader that can be reached in a bounded time. For those that cannot, the feeds are marked all the same,
/// and again when they have a leader.
async fn reach_leaders(link: &Link, partitions: Partitions) {
    stream::iter(partitions.iter())
        .for_each_concurrent(PROBES_AT_ONCE, |partition| async move {
            if let Err(error) = reach_leader(link, partition).await {
                tracing::warn!(%partition, error = &error as &dyn std::error::Error, "partition not reached");
            }
        })
        .await;
}
