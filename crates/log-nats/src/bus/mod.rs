//! The bus on NATS: plain messages, nothing kept. It has a connection of its own, so that a flood on it neither delays the
//! log nor marks the log's feeds as interrupted.

mod inbox;
mod losses;
mod replies;
mod requests;
mod signals;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_nats::{Client, Event, PublishErrorKind, connection::State};
use async_trait::async_trait;
use bytes::Bytes;
use huddle_bus::{Bus, BusError, Losses, PAYLOAD_BYTES_MAX, PeerId, RequestFeed, SignalFeed, queue};
use huddle_domain::TeamId;
use huddle_log::LogError;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{inbox::Inbox, losses::Counters, replies::ReplySender};
use crate::{
    config::Config,
    connect,
    retry::{Cause, REQUEST_TIMEOUT},
    subject,
};

/// How long a signal or a subscription waits for its place in the client's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(2);
/// Smaller payloads are copied: each is a part of what was read from the connection at once, and would keep all of that.
const COPIED_BELOW_BYTES: usize = 32 * 1024;
/// Of all subscriptions to a gateway's subject, each request goes to one.
const QUEUE_GROUP: &str = "huddle";

/// The bus on NATS. Share it by `Arc`; when it is dropped its feeds end and its connection is closed.
pub struct NatsBus {
    client: Client,
    inbox: Inbox,
    replies: ReplySender,
    counters: Arc<Counters>,
    /// Counts the times that the connection was lost; only its changes matter.
    lost: Arc<watch::Sender<u64>>,
    closed: CancellationToken,
    _close_on_drop: DropGuard,
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus").field("losses", &self.losses()).finish_non_exhaustive()
    }
}

impl NatsBus {
    /// Connects to the servers of `config`; the rest of `config` is the log's.
    ///
    /// # Errors
    /// [`LogError::Unsuitable`] for addresses that are none and refused credentials, [`LogError::Unavailable`] when no server
    /// answers within some seconds.
    pub async fn connect(config: &Config) -> Result<Self, LogError> {
        config.validate()?;
        let (counters, lost) = (Arc::new(Counters::default()), Arc::new(watch::Sender::new(0)));
        let client = connect::connect(config, "huddle-bus", {
            let (counters, lost) = (Arc::clone(&counters), Arc::clone(&lost));
            move |event| note(event, &counters, &lost)
        })
        .await?;
        let closed = CancellationToken::new();
        let close_on_drop = closed.clone().drop_guard();
        let inbox = Inbox::open(&client, closed.clone())
            .await
            .map_err(|error| error.unavailable("subscribing to replies on the bus"))?;
        let replies = ReplySender::spawn(client.clone(), Arc::clone(&counters), closed.clone());
        Ok(Self { client, inbox, replies, counters, lost, closed, _close_on_drop: close_on_drop })
    }

    /// The client would keep what is sent without a connection, and send it when it is no news any more.
    fn check_connected(&self) -> Result<(), BusError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(unavailable("not connected to nats")),
        }
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), BusError> {
        if payload.len() > PAYLOAD_BYTES_MAX.min(self.client.max_payload()) { Err(BusError::TooLarge) } else { Ok(()) }
    }

    /// Returns when the server has answered something that was sent after everything that this handle sent before: it knows
    /// of its subscriptions then, and has told the other servers of its cluster on the way that messages take, too. Returns
    /// at once without a connection: the client makes all subscriptions when it has one.
    async fn reach_server(&self) -> Result<(), BusError> {
        let echo = async {
            if self.check_connected().is_err() {
                return Ok(());
            }
            let expected = self.inbox.expect();
            self.client.publish(expected.subject(), Bytes::new()).await.map_err(|error| Cause::of(&error))?;
            expected.message().await.map(drop)
        };
        match timeout(REQUEST_TIMEOUT, self.or_lost(echo)).await {
            Ok(Ok(echoed)) => echoed.map_err(BusError::unavailable),
            Ok(Err(_lost)) => Ok(()),
            Err(_) => Err(unavailable("nats does not answer")),
        }
    }

    /// Awaits what only comes over this connection.
    async fn or_lost<T>(&self, awaited: impl Future<Output = T>) -> Result<T, Cause> {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            biased;
            awaited = awaited => Ok(awaited),
            _ = lost.changed() => Err(Cause::new("the connection to nats was lost")),
        }
    }
}

fn note(event: &Event, counters: &Counters, lost: &watch::Sender<u64>) {
    match event {
        Event::Connected => tracing::debug!("the bus is connected to nats"),
        Event::Disconnected => {
            tracing::warn!("the bus has lost its connection to nats");
            lost.send_modify(|count| *count += 1);
        }
        Event::SlowConsumer(_) => counters.lose_messages(),
        Event::ServerError(error) => tracing::warn!(%error, "nats server error on the bus"),
        Event::ClientError(error) => tracing::debug!(%error, "nats client error on the bus"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::debug!(%event, "nats event on the bus"),
    }
}

fn unavailable(what: &str) -> BusError {
    BusError::unavailable(Cause::new(what))
}

/// `payload` without its neighbours in memory.
fn compact(payload: Bytes) -> Bytes {
    if payload.len() < COPIED_BELOW_BYTES { Bytes::copy_from_slice(&payload) } else { payload }
}

/// Why something was not sent.
fn refusal(error: &async_nats::PublishError) -> BusError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => BusError::TooLarge,
        PublishErrorKind::InvalidSubject | PublishErrorKind::Send => BusError::unavailable(Cause::of(error)),
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn signal(&self, team: &TeamId, payload: Bytes) -> Result<(), BusError> {
        self.check_size(&payload)?;
        self.check_connected()?;
        timeout(SEND_PATIENCE, self.client.publish(subject::signal(team), payload))
            .await
            .map_err(|_| unavailable("nats takes too little"))?
            .map_err(|error| refusal(&error))
    }

    async fn signals(&self, team: &TeamId) -> Result<SignalFeed, BusError> {
        let messages = timeout(SEND_PATIENCE, self.client.subscribe(subject::signal(team)))
            .await
            .map_err(|error| BusError::unavailable(Cause::of(&error)))?
            .map_err(|error| BusError::unavailable(Cause::of(&error)))?;
        let (sender, receiver) = queue::signals();
        let stop = self.closed.child_token();
        let feed = receiver.into_feed(stop.clone().drop_guard());
        tokio::spawn(signals::pass(messages, sender, Arc::clone(&self.counters), stop));
        self.reach_server().await?;
        Ok(feed)
    }

    async fn serve(&self, peer: &PeerId) -> Result<RequestFeed, BusError> {
        let subscribed = self.client.queue_subscribe(subject::gateway(peer), QUEUE_GROUP.to_owned());
        let messages = timeout(SEND_PATIENCE, subscribed)
            .await
            .map_err(|error| BusError::unavailable(Cause::of(&error)))?
            .map_err(|error| BusError::unavailable(Cause::of(&error)))?;
        let (sender, feed) = queue::requests();
        let counters = Arc::clone(&self.counters);
        tokio::spawn(requests::pass(messages, sender, self.replies.clone(), counters, self.closed.clone()));
        self.reach_server().await?;
        Ok(feed)
    }

    async fn request(&self, peer: &PeerId, payload: Bytes, patience: Duration) -> Result<Bytes, BusError> {
        self.check_size(&payload)?;
        self.check_connected()?;
        let expected = self.inbox.expect();
        let exchange = async {
            let sent = self.client.publish_with_reply(subject::gateway(peer), expected.subject(), payload);
            sent.await.map_err(|error| refusal(&error))?;
            let message = expected.message().await.map_err(BusError::unavailable)?;
            replies::read(message)
        };
        match timeout(patience, self.or_lost(exchange)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(lost)) => Err(BusError::unavailable(lost)),
            Err(_) => Err(BusError::NoAnswer),
        }
    }

    fn losses(&self) -> Losses {
        self.counters.losses()
    }
}
