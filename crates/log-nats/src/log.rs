//! The handle: the contract's methods, each handed to its module.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_trait::async_trait;
use futures_util::{StreamExt as _, future, stream};
use huddle_domain::{Event, NewEvent, Partition, Partitions, Seq, TeamId};
use huddle_log::{Condition, LiveFeed, Log, LogError, Pending, PublishError, Reader, StoredFeed, StoredMark};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    advance,
    by_team::{self, Beginning},
    config::Config,
    connect::Link,
    live, production,
    publisher::Publisher,
    reader,
    retry::{Cause, Miss, until_answered},
    stored, stream as settings, subject, watchman,
};

/// Partitions that are checked at once.
const CHECKS_AT_ONCE: usize = 16;

/// The log on NATS JetStream. Share it by `Arc`; when it is dropped its feeds and readers end, and what is queued for
/// publishing is published still, as long as the runtime lives.
pub struct NatsLog {
    config: Config,
    partitions: Partitions,
    link: Arc<Link>,
    /// One per partition, in order.
    publishers: Vec<Publisher>,
    /// The same.
    beginnings: Vec<Beginning>,
    closed: CancellationToken,
    _close_on_drop: DropGuard,
}

impl fmt::Debug for NatsLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLog").field("config", &self.config).finish_non_exhaustive()
    }
}

impl NatsLog {
    /// Connects to NATS and checks the server. Creates no stream: [`Log::prepare`] does.
    ///
    /// # Errors
    /// [`LogError::Unsuitable`] for settings out of bounds, refused credentials, a server that is too old or lacks
    /// JetStream, or, in production, does not sync or does not say so; [`LogError::Unavailable`] when no server answers
    /// within some seconds.
    pub async fn connect(config: Config) -> Result<Self, LogError> {
        config.validate()?;
        let partitions = Partitions::new(config.partitions).map_err(|error| LogError::Unsuitable {
            problem: format!("`partitions` is {}", config.partitions),
            remedy: error.to_string(),
        })?;
        let link = Arc::new(Link::open(&config).await?);
        production::check_servers(&config).await?;
        let closed = CancellationToken::new();
        let publishers = partitions.iter().map(|partition| Publisher::spawn(Arc::clone(&link), partition)).collect();
        let beginnings = partitions.iter().map(|_| Beginning::default()).collect();
        tokio::spawn(watchman::run(Arc::clone(&link), partitions, closed.clone()));
        Ok(Self {
            config,
            partitions,
            link,
            publishers,
            beginnings,
            _close_on_drop: closed.clone().drop_guard(),
            closed,
        })
    }
}

#[async_trait]
impl Log for NatsLog {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn duplicate_window(&self) -> Option<Duration> {
        Some(settings::DUPLICATE_WINDOW)
    }

    async fn prepare(&self, partition: Partition, highest_stored: Seq) -> Result<(), LogError> {
        settings::prepare(&self.link, &self.config, partition, highest_stored).await
    }

    async fn advance(&self, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, LogError> {
        // Goes on when the caller does not: what is begun and left would hold publishes back.
        let link = Arc::clone(&self.link);
        let advancing = tokio::spawn(async move { advance::advance(&link, partition, stored, above).await });
        advancing.await.unwrap_or_else(|error| Err(Cause::of(&error).unavailable("advancing a partition")))
    }

    async fn check(&self) -> Result<(), LogError> {
        let mut failures: Vec<_> = stream::iter(self.partitions.iter())
            .map(|partition| settings::check(&self.link, &self.config, partition))
            .buffer_unordered(CHECKS_AT_ONCE)
            .filter_map(|checked| future::ready(checked.err()))
            .collect()
            .await;
        // What needs an operator is told first.
        failures.sort_by_key(LogError::is_retryable);
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    async fn publish(&self, event: NewEvent, condition: Condition) -> Result<Pending, PublishError> {
        let partition = self.partitions.of(&event.team);
        // There is one for each partition, and `of` names no other.
        let Some(publisher) = self.publishers.get(usize::from(partition.number())) else {
            return Err(PublishError::Refused { reason: "no such partition".to_owned() });
        };
        publisher.publish(&event, condition).await
    }

    async fn subscribe(&self, team: &TeamId) -> Result<LiveFeed, LogError> {
        live::subscribe(&self.link, self.partitions.of(team), team, self.closed.clone()).await
    }

    async fn read(&self, partition: Partition, after: Seq) -> Result<Reader, LogError> {
        reader::read(Arc::clone(&self.link), partition, after, self.closed.clone()).await
    }

    async fn last_seq(&self, team: &TeamId) -> Result<Option<Seq>, LogError> {
        let partition = self.partitions.of(team);
        let subject = subject::log(partition, team);
        until_answered("asking for a team's last position", || async {
            let stream = self
                .link
                .jetstream
                .get_stream_no_info(subject::stream(partition))
                .await
                .map_err(|error| Miss::Retry(Cause::of(&error)))?;
            // Answered by the leader: a replica could be behind.
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(Seq::new(message.sequence))),
                Err(error) => match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    _ => match settings::find(&self.link, partition).await? {
                        Some(_) => Err(Miss::Retry(Cause::of(&error))),
                        None => Err(Miss::Final(LogError::Missing { partition })),
                    },
                },
            }
        })
        .await
    }

    async fn events_between(
        &self,
        team: &TeamId,
        after: Seq,
        through: Seq,
    ) -> Result<Option<Vec<Arc<Event>>>, LogError> {
        let partition = self.partitions.of(team);
        // There is one for each partition, and `of` names no other.
        let Some(beginning) = self.beginnings.get(usize::from(partition.number())) else { return Ok(None) };
        by_team::events_between(&self.link, beginning, partition, team, after, through).await
    }

    async fn announce_stored(&self, mark: StoredMark) -> Result<(), LogError> {
        stored::announce(&self.link, mark).await
    }

    async fn stored_marks(&self) -> Result<StoredFeed, LogError> {
        stored::follow(&self.link, self.closed.clone()).await
    }
}
