//! Requests on their way from the connection to the peer that they are for.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use huddle_bus::{
    PeerRequest,
    queue::{Refused, RequestSender},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    compact,
    losses::Counters,
    replies::{Answer, ReplySender},
};
use crate::retry::REQUEST_TIMEOUT;

/// Passes messages on until the feed is dropped or `closed`. It never waits for the peer, so that the connection never
/// waits for it.
pub(super) async fn pass(
    mut messages: Subscriber,
    peer: RequestSender,
    replies: ReplySender,
    counters: Arc<Counters>,
    closed: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            () = closed.cancelled() => return,
            () = peer.closed() => break,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        hand_over(message, &peer, &replies, &counters);
    }
    // What has come already is answered; the server learns that nobody serves the peer any more.
    if let Ok(Ok(())) = timeout(REQUEST_TIMEOUT, messages.unsubscribe()).await {
        while let Some(message) = messages.next().await {
            hand_over(message, &peer, &replies, &counters);
        }
    }
}

fn hand_over(message: Message, peer: &RequestSender, replies: &ReplySender, counters: &Counters) {
    // Who wants no reply is none of ours.
    let Some(reply_to) = message.reply else { return };
    let answer = {
        let (replies, reply_to) = (replies.clone(), reply_to.clone());
        move |reply: Option<_>| replies.send(reply_to, reply.map_or(Answer::None, Answer::Reply))
    };
    let (request, answer) = match peer.push(PeerRequest::new(compact(message.payload), answer)) {
        Ok(()) => return,
        Err(Refused::Full(request)) => {
            counters.lose_request();
            (request, Answer::Full)
        }
        Err(Refused::Closed(request)) => (request, Answer::Gone),
    };
    request.forget();
    replies.send(reply_to, answer);
}
