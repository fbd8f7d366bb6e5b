//! Reads a partition from a position, without end.
//!
//! It asks an ephemeral pull consumer for messages and makes a new one, from its own position, whenever the consumer
//! falls silent. (The client library's ordered consumer takes 15 s to notice a restarted server, never notices a deleted
//! stream, and begins at the start of the stream if it is recreated before its first message.)

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::{
    Message, StatusCode, Subscriber,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::ConsumerErrorKind,
    },
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use huddle_domain::{Partition, Seq, TeamId};
use huddle_log::{Entry, EntryContent, LogError, Reader};
use huddle_proto::decode_new_event;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    connect::Link,
    floor::{self, End},
    live::unix_millis,
    retry::{Cause, Miss, pause, until_answered},
    stream as stream_settings, subject,
};

/// Messages asked for at once; the next are asked for when half have come.
const PULL_MESSAGES: usize = 500;
/// How long the server keeps a request for messages open.
const PULL_EXPIRES: Duration = Duration::from_secs(10);
/// How often the server says that it has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Silence after which the consumer is taken for dead: two heartbeats, and something for the way.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);
/// How often a reader to which nothing comes looks whether there is nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Consumers in a row that are of no use before reading is given up.
const FRUITLESS_CONSUMERS_MAX: u32 = 4;
/// How long the server keeps a consumer that nobody asks.
const CONSUMER_KEPT: Duration = Duration::from_secs(10);
const CONTEXT: &str = "reading a partition";

/// Starts to read; see [`huddle_log::Log::read`].
pub(crate) async fn read(
    link: Arc<Link>,
    partition: Partition,
    after: Seq,
    closed: CancellationToken,
) -> Result<Reader, LogError> {
    let consumer = Consumer::create(&link, partition, after).await?;
    let state = State {
        link,
        partition,
        position: after,
        consumer: Some(consumer),
        fruitless: 0,
        last_looked_up: None,
        closed,
    };
    Ok(stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await? {
            Ok(entry) => Some((Ok(entry), Some(state))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed())
}

struct State {
    link: Arc<Link>,
    partition: Partition,
    /// The position of the last entry given out.
    position: Seq,
    consumer: Option<Consumer>,
    /// Consumers in a row that were of no use.
    fruitless: u32,
    /// Where the partition ended when that was last looked up.
    last_looked_up: Option<Seq>,
    closed: CancellationToken,
}

impl State {
    async fn next(&mut self) -> Option<Result<Entry, LogError>> {
        let closed = self.closed.clone();
        tokio::select! {
            () = closed.cancelled() => None,
            entry = self.next_entry() => Some(entry),
        }
    }

    async fn next_entry(&mut self) -> Result<Entry, LogError> {
        loop {
            let consumer = match &mut self.consumer {
                Some(consumer) => consumer,
                none => none.insert(Consumer::create(&self.link, self.partition, self.position).await?),
            };
            let failure = match timeout(LOOK_INTERVAL, consumer.next()).await {
                Ok(Ok(message)) => match entry(&message) {
                    Ok(entry) if entry.seq > self.position => {
                        self.position = entry.seq;
                        self.fruitless = 0;
                        return Ok(entry);
                    }
                    Ok(_) => continue,
                    Err(cause) => return Err(cause.unavailable(CONTEXT)),
                },
                Ok(Err(cause)) => {
                    if consumer.is_alive {
                        self.fruitless = 0;
                    }
                    cause
                }
                Err(_) if self.is_behind_since_last_look().await => {
                    Cause::new("the consumer withholds what the partition has")
                }
                Err(_) => continue,
            };
            self.fruitless += 1;
            if self.fruitless >= FRUITLESS_CONSUMERS_MAX {
                return Err(failure.unavailable(CONTEXT));
            }
            tracing::debug!(partition = %self.partition, cause = %failure, "reading the partition with a new consumer");
            self.consumer = None;
            sleep(pause(self.fruitless)).await;
        }
    }

    /// Looks how far the partition goes, and says whether something that was there at the last look has not come yet. A
    /// consumer can stand on a server that lags behind, and send heartbeats for as long as it does.
    async fn is_behind_since_last_look(&mut self) -> bool {
        let is_behind = self.last_looked_up.is_some_and(|last| last > self.position);
        let looked_up = timeout(SILENCE_MAX, stream_settings::find(&self.link, self.partition)).await;
        self.last_looked_up = match looked_up {
            // It has lost events: a new consumer says so.
            Ok(Ok(Some(info))) if info.state.last_sequence < self.position.get() => return true,
            // An empty stream's last position is that of nothing: it was advanced, or all it held is too old.
            Ok(Ok(Some(info))) if info.state.messages > 0 => Some(Seq::new(info.state.last_sequence)),
            _ => None,
        };
        is_behind
    }
}

struct Consumer {
    context: Context,
    pull: PullConsumer,
    inbox: String,
    messages: Subscriber,
    /// Messages that were asked for and have not come, one number per request, oldest first.
    outstanding: VecDeque<usize>,
    /// Whether anything good has come from it.
    is_alive: bool,
}

impl Consumer {
    /// Makes a consumer that begins after `after`, trying for some seconds.
    async fn create(link: &Link, partition: Partition, after: Seq) -> Result<Self, LogError> {
        let config = pull::Config {
            description: Some("huddle reader".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.next().get() },
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_KEPT,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let began = Instant::now();
        until_answered(CONTEXT, || async {
            // A partition that ends before is one that has lost events. What is appended to it up to there must not be taken
            // for what comes after.
            if let Some(info) = stream_settings::find(link, partition).await?
                && info.state.last_sequence < after.get()
            {
                let cause = floor::cause(End::WentBack { last: Seq::new(info.state.last_sequence), taken: after });
                // A leader that is new may not have found all that it has.
                let is_new = began.elapsed() < stream_settings::APPLYING_MAX;
                return Err(if is_new { Miss::Retry(cause) } else { Miss::Final(cause.unavailable(CONTEXT)) });
            }
            let created = link.jetstream.create_consumer_on_stream(config.clone(), subject::stream(partition)).await;
            let pull = match created {
                Ok(pull) => pull,
                Err(error) => {
                    return Err(match error.kind() {
                        ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                            Miss::Final(LogError::Missing { partition })
                        }
                        _ => Miss::Retry(Cause::of(&error)),
                    });
                }
            };
            let inbox = link.client.new_inbox();
            let messages =
                link.client.subscribe(inbox.clone()).await.map_err(|error| Miss::Retry(Cause::of(&error)))?;
            Ok(Self {
                context: link.jetstream.clone(),
                pull,
                inbox,
                messages,
                outstanding: VecDeque::new(),
                is_alive: false,
            })
        })
        .await
    }

    /// The next message. An error means that this consumer is of no more use.
    async fn next(&mut self) -> Result<jetstream::Message, Cause> {
        loop {
            self.ask().await?;
            // What has arrived already is taken without the cost of a timer.
            let message = match self.messages.next().now_or_never() {
                Some(message) => message,
                None => timeout(SILENCE_MAX, self.messages.next())
                    .await
                    .map_err(|_| Cause::new("the consumer is silent"))?,
            };
            let message = message.ok_or_else(|| Cause::new("the connection is closed"))?;
            match message.status {
                None | Some(StatusCode::OK) => {
                    self.is_alive = true;
                    self.count();
                    return Ok(jetstream::Message { message, context: self.context.clone() });
                }
                Some(StatusCode::IDLE_HEARTBEAT) => self.is_alive = true,
                // The oldest request has ended with messages to spare, or for want of any.
                Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                    self.outstanding.pop_front();
                }
                Some(status) => return Err(status_cause(status, &message)),
            }
        }
    }

    async fn ask(&mut self) -> Result<(), Cause> {
        if self.outstanding.iter().sum::<usize>() > PULL_MESSAGES / 2 {
            return Ok(());
        }
        let request = pull::BatchConfig {
            batch: PULL_MESSAGES,
            expires: Some(PULL_EXPIRES),
            idle_heartbeat: HEARTBEAT,
            ..pull::BatchConfig::default()
        };
        timeout(SILENCE_MAX, self.pull.request_batch(request, self.inbox.clone().into()))
            .await
            .map_err(|error| Cause::of(&error))?
            .map_err(|error| Cause::of(&error))?;
        self.outstanding.push_back(PULL_MESSAGES);
        Ok(())
    }

    fn count(&mut self) {
        if let Some(oldest) = self.outstanding.front_mut() {
            *oldest = oldest.saturating_sub(1);
            if *oldest == 0 {
                self.outstanding.pop_front();
            }
        }
    }
}

fn status_cause(status: StatusCode, message: &Message) -> Cause {
    Cause::new(&format!("{status} {}", message.description.as_deref().unwrap_or_default()))
}

fn entry(message: &jetstream::Message) -> Result<Entry, Cause> {
    let info = message.info().map_err(|error| Cause::of(error.as_ref()))?;
    Ok(Entry {
        seq: Seq::new(info.stream_sequence),
        time: unix_millis(info.published),
        content: content(&message.subject, &message.payload),
    })
}

fn content(subject: &str, payload: &[u8]) -> EntryContent {
    let team = TeamId::parse(subject::last_token(subject)).ok();
    let reason = match decode_new_event(payload) {
        Ok(event) if Some(&event.team) == team.as_ref() => return EntryContent::Event(event),
        Ok(_) => "the event names another team than its subject".to_owned(),
        Err(error) => error.to_string(),
    };
    EntryContent::Undecodable { team, payload: payload.to_vec(), reason }
}
