//! The live feed of a team: what its stream republishes, and a mark wherever something may be missing.

use std::sync::Arc;

use async_nats::{
    HeaderMap, Message, Subscriber,
    datetime::{DateTime, parse_rfc3339},
    header::{HeaderName, NATS_LAST_SEQUENCE, NATS_SEQUENCE, NATS_TIME_STAMP},
};
use futures_util::{StreamExt as _, stream};
use huddle_domain::{Event, Partition, Seq, TeamId, UnixMillis};
use huddle_log::{LiveFeed, LiveItem, LogError};
use huddle_proto::decode_new_event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    connect::Link,
    retry::{Cause, Limits, REQUEST_TIMEOUT},
    subject, watchman,
};

struct Feed {
    team: TeamId,
    messages: Subscriber,
    interruption: watch::Receiver<u64>,
    closed: CancellationToken,
    /// The position of the last event given out.
    last: Option<Seq>,
    /// An event that follows a hole: it comes after the mark.
    held: Option<Event>,
}

/// Subscribes and waits until the partition's leader knows of the subscription; see [`huddle_log::Log::subscribe`].
pub(crate) async fn subscribe(
    link: &Link,
    partition: Partition,
    team: &TeamId,
    closed: CancellationToken,
) -> Result<LiveFeed, LogError> {
    let interruption = link.signals.interruption.subscribe();
    let messages = tokio::time::timeout(REQUEST_TIMEOUT, link.client.subscribe(subject::live(partition, team)))
        .await
        .map_err(|error| Cause::of(&error).unavailable("subscribing to a team"))?
        .map_err(|error| Cause::of(&error).unavailable("subscribing to a team"))?;
    watchman::reach_leader(link, partition, Limits::default()).await?;
    let feed = Feed { team: team.clone(), messages, interruption, closed, last: None, held: None };
    Ok(stream::unfold(feed, |mut feed| async move { feed.next().await.map(|item| (item, feed)) }).boxed())
}

impl Feed {
    async fn next(&mut self) -> Option<LiveItem> {
        if let Some(event) = self.held.take() {
            return Some(self.give(event));
        }
        loop {
            let message = tokio::select! {
                biased;
                () = self.closed.cancelled() => return None,
                changed = self.interruption.changed() => return changed.ok().map(|()| LiveItem::Interrupted),
                message = self.messages.next() => message?,
            };
            match event(&self.team, &message) {
                // A hole that nothing else has told of.
                Ok(event) if self.last.is_some_and(|last| event.prev_seq > last) => {
                    self.held = Some(event);
                    return Some(LiveItem::Interrupted);
                }
                Ok(event) => return Some(self.give(event)),
                // The hole shows in the next event's `prev_seq`.
                Err(reason) => tracing::warn!(team = %self.team, reason, "unreadable event on the live feed"),
            }
        }
    }

    fn give(&mut self, event: Event) -> LiveItem {
        self.last = self.last.max(Some(event.seq));
        LiveItem::Event(Arc::new(event))
    }
}

fn event(team: &TeamId, message: &Message) -> Result<Event, String> {
    let headers = message.headers.as_ref().ok_or("no headers")?;
    let seq = number(headers, NATS_SEQUENCE).ok_or("no seq")?;
    let prev_seq = number(headers, NATS_LAST_SEQUENCE).ok_or("no prev_seq")?;
    let time = time(headers).ok_or("no time")?;
    let event = decode_new_event(&message.payload).map_err(|error| error.to_string())?;
    if event.team != *team {
        return Err("the event names another team than its subject".to_owned());
    }
    Ok(event.at(Seq::new(seq), Seq::new(prev_seq), time))
}

pub(crate) fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.as_str().parse().ok()
}

/// When the log took the message.
pub(crate) fn time(headers: &HeaderMap) -> Option<UnixMillis> {
    parse_rfc3339(headers.get(NATS_TIME_STAMP)?.as_str()).ok().map(unix_millis)
}

/// The server's time in our unit; its fractions are cut off.
pub(crate) fn unix_millis(time: DateTime) -> UnixMillis {
    UnixMillis(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
}
