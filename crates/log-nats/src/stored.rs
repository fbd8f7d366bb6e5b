//! Announcements of how far partitions are committed: plain messages, nothing kept.

use std::sync::Arc;

use async_nats::{Message, Subscriber, connection::State};
use futures_util::{StreamExt as _, stream};
use huddle_domain::{Partition, Seq};
use huddle_log::{LogError, StoredFeed, StoredMark};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    connect::Link,
    retry::{Cause, REQUEST_TIMEOUT},
    subject,
};

pub(crate) async fn announce(link: &Link, mark: StoredMark) -> Result<(), LogError> {
    const CONTEXT: &str = "announcing a stored position";
    // The client would keep it for later, when it is no news any more.
    if link.client.connection_state() != State::Connected {
        return Err(Cause::new("not connected").unavailable(CONTEXT));
    }
    let published = link.client.publish(subject::stored(mark.partition), mark.seq.to_string().into());
    timeout(REQUEST_TIMEOUT, published)
        .await
        .map_err(|error| Cause::of(&error).unavailable(CONTEXT))?
        .map_err(|error| Cause::of(&error).unavailable(CONTEXT))
}

pub(crate) async fn follow(link: &Link, closed: CancellationToken) -> Result<StoredFeed, LogError> {
    const CONTEXT: &str = "following stored positions";
    let messages = timeout(REQUEST_TIMEOUT, link.client.subscribe(subject::STORED_ALL))
        .await
        .map_err(|error| Cause::of(&error).unavailable(CONTEXT))?
        .map_err(|error| Cause::of(&error).unavailable(CONTEXT))?;
    let floors = Arc::clone(&link.floors);
    let marks = stream::unfold((messages, closed), |(mut messages, closed)| async move {
        next(&mut messages, &closed).await.map(|mark| (mark, (messages, closed)))
    });
    Ok(marks.inspect(move |mark| floors.stored(*mark)).boxed())
}

async fn next(messages: &mut Subscriber, closed: &CancellationToken) -> Option<StoredMark> {
    loop {
        let message = tokio::select! {
            () = closed.cancelled() => return None,
            message = messages.next() => message?,
        };
        if let Some(mark) = mark(&message) {
            return Some(mark);
        }
        tracing::warn!("unreadable announcement of a stored position");
    }
}

fn mark(message: &Message) -> Option<StoredMark> {
    let partition = subject::last_token(&message.subject).parse().ok().map(Partition::new)?;
    let seq = std::str::from_utf8(&message.payload).ok()?.parse().ok().map(Seq::new)?;
    Some(StoredMark { partition, seq })
}
