//! Signals on their way from the connection to a listener.

use std::sync::Arc;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use huddle_bus::queue::SignalSender;
use tokio_util::sync::CancellationToken;

use super::{compact, losses::Counters};

/// Passes messages on until `stop`. It never waits for the listener, so that the connection never waits for it.
pub(super) async fn pass(
    mut messages: Subscriber,
    listener: SignalSender,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        counters.lose_signals(listener.push(compact(message.payload)));
    }
}
