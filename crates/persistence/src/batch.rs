//! What has gathered while the last batch was committed becomes the next one, within bounds.

use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _};
use huddle_domain::{Body, EventKind, Seq, Tags, UnixMillis, limits::SEQ_GAP_OF_NEW_LOG};
use huddle_log::{Entry, EntryContent, LogError, Reader};
use huddle_store::{Batch, BatchItem, DeadLetter, DeadLetterReason};

use crate::Config;

/// What a row of `mentions` takes beside the user's id, in bytes: the team's id, time and position, and the row's own header.
const MENTION_ROW_BYTES: usize = 128;

/// Entries of a log, gathered into a batch that is never empty.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) batch: Batch,
    /// When the log took the oldest entry.
    pub(crate) oldest: UnixMillis,
    /// Stretches of positions that are missing, each as the positions at its two edges.
    pub(crate) gaps: Vec<(Seq, Seq)>,
}

/// Gathers batches from a reader.
pub(crate) struct Gatherer {
    reader: Reader,
    config: Config,
    /// The last position read; the one that was committed where nothing has been read yet.
    position: Seq,
    /// Nothing has been read yet.
    at_start: bool,
    /// An error met while gathering, which ends the reading; the entries before it are a batch of their own.
    failed: Option<LogError>,
}

impl Gatherer {
    /// Gathers what `reader` yields, which was started after `position`.
    pub(crate) fn new(reader: Reader, config: Config, position: Seq) -> Self {
        Self { reader, config, position, at_start: true, failed: None }
    }

    /// Waits for an entry, then takes what is there without waiting again, up to the bounds.
    ///
    /// # Cancel safety
    /// Safe: once an entry has been taken, nothing is awaited.
    pub(crate) async fn next(&mut self) -> Result<Gathered, GatherError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let first = self.reader.next().await.ok_or(GatherError::Ended)??;
        let mut gathered = Gathered { batch: Batch::default(), oldest: first.time, gaps: Vec::new() };
        let mut bytes = self.push(first, &mut gathered);
        while gathered.batch.items.len() < self.config.batch_entries_max
            && bytes < self.config.batch_bytes_max.as_usize()
        {
            match self.reader.next().now_or_never() {
                Some(Some(Ok(entry))) => bytes += self.push(entry, &mut gathered),
                Some(Some(Err(error))) => {
                    self.failed = Some(error);
                    break;
                }
                // Nothing more is there, or nothing more will come: the next call finds out which.
                Some(None) | None => break,
            }
        }
        gathered.batch.through = self.position;
        Ok(gathered)
    }

    /// Takes `entry` into `gathered`, and returns its size.
    fn push(&mut self, entry: Entry, gathered: &mut Gathered) -> usize {
        if self.is_gap(entry.seq) {
            gathered.gaps.push((self.position, entry.seq));
        }
        self.position = entry.seq;
        self.at_start = false;
        let (item, bytes) = item(entry);
        gathered.batch.items.push(item);
        bytes
    }

    /// Whether positions are missing before `seq`. A log that was created anew keeps its distance from what is stored:
    /// that one is not a loss by itself.
    fn is_gap(&self, seq: Seq) -> bool {
        let begins_anew = self.at_start && seq.get() > self.position.get().saturating_add(SEQ_GAP_OF_NEW_LOG);
        if begins_anew {
            tracing::info!(stored = %self.position, first = %seq, "the log was created anew");
        }
        !begins_anew && seq != self.position.next()
    }
}

/// Why no further batch can be gathered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The reader ended without an error, which a log does not do.
    #[error("the reading of the log ended")]
    Ended,
}

impl Gathered {
    /// How long ago the log took the oldest entry, by this machine's clock.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        let milliseconds = UnixMillis::from(now).0.saturating_sub(self.oldest.0);
        // Clocks differ a little: what comes from the future is new.
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
    }
}

/// What the store keeps for `tags`, in bytes.
fn bytes_of(tags: &Tags) -> usize {
    let mentions = tags.mentions().iter().map(|user| user.as_str().len() + MENTION_ROW_BYTES);
    let entity = tags.entity().map_or(0, |entity| entity.kind.as_str().len() + entity.id.as_str().len());
    mentions.sum::<usize>() + entity
}

fn item(entry: Entry) -> (BatchItem, usize) {
    match entry.content {
        EntryContent::Event(event) => {
            let bytes = match &event.kind {
                EventKind::Posted { body, tags } => Body::as_str(body).len() + bytes_of(tags),
                // Ids and names are short.
                _ => 0,
            };
            (BatchItem::Event(event.at(entry.seq, Seq::ZERO, entry.time)), bytes)
        }
        EntryContent::Undecodable { team, payload, reason } => {
            let bytes = payload.len();
            let letter = DeadLetter {
                seq: entry.seq,
                time: entry.time,
                team,
                reason: DeadLetterReason::Undecodable,
                detail: reason,
                payload,
            };
            (BatchItem::DeadLetter(letter), bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use huddle_domain::{ClientId, NewEvent, Partition, TeamId, UserId};
    use huddle_service::config::ByteCount;

    use super::*;

    fn entry(seq: u64, payload_bytes: usize) -> Entry {
        let content =
            EntryContent::Undecodable { team: None, payload: vec![0; payload_bytes], reason: "a sample".to_owned() };
        Entry { seq: Seq::new(seq), time: UnixMillis(i64::try_from(seq).unwrap()), content }
    }

    fn gatherer(config: Config, position: u64, entries: Vec<Result<Entry, LogError>>) -> Gatherer {
        let reader = stream::iter(entries).chain(stream::pending()).boxed();
        Gatherer::new(reader, config, Seq::new(position))
    }

    async fn gaps_of(position: u64, seqs: &[u64]) -> Vec<(u64, u64)> {
        let entries = seqs.iter().map(|seq| Ok(entry(*seq, 1))).collect();
        let gathered = gatherer(Config::default(), position, entries).next().await.unwrap();
        gathered.gaps.iter().map(|(before, after)| (before.get(), after.get())).collect()
    }

    #[tokio::test]
    async fn what_is_there_becomes_one_batch_within_its_bounds() {
        let entries = || (1..=10).map(|seq| Ok(entry(seq, 100))).collect();
        let sizes = async |config: Config| {
            let mut batches = gatherer(config, 0, entries());
            let mut sizes = Vec::new();
            while sizes.iter().sum::<usize>() < 10 {
                let gathered = batches.next().await.unwrap();
                assert_eq!(gathered.batch.items.last().map(BatchItem::seq), Some(gathered.batch.through));
                sizes.push(gathered.batch.items.len());
            }
            sizes
        };
        assert_eq!(sizes(Config::default()).await, [10]);
        assert_eq!(sizes(Config { batch_entries_max: 4, ..Config::default() }).await, [4, 4, 2]);
        assert_eq!(sizes(Config { batch_bytes_max: ByteCount::new(250), ..Config::default() }).await, [3, 3, 3, 1]);
        assert_eq!(sizes(Config { batch_entries_max: 0, batch_bytes_max: ByteCount::new(0) }).await, [1; 10]);
    }

    #[tokio::test]
    async fn the_rows_of_mentions_count_towards_the_bound_of_a_batch() {
        let mentioning = |seq: u64, count: usize| {
            let users = (0..count).map(|number| UserId::parse(&format!("user-{number}")).unwrap());
            let event = NewEvent {
                team: TeamId::parse("a").unwrap(),
                sender: UserId::parse("ann").unwrap(),
                client_id: ClientId::parse(&format!("c{seq}")).unwrap(),
                kind: EventKind::Posted { body: Body::parse("hi").unwrap(), tags: Tags::new(users, None).unwrap() },
            };
            Ok(Entry { content: EntryContent::Event(event), ..entry(seq, 0) })
        };
        let config = Config { batch_bytes_max: ByteCount::new(2_560), ..Config::default() };
        let first = async |count| {
            let entries = (1..=10).map(|seq| mentioning(seq, count)).collect();
            gatherer(config.clone(), 0, entries).next().await.unwrap().batch.items.len()
        };
        assert_eq!((first(0).await, first(1).await, first(10).await, first(50).await), (10, 10, 2, 1));
    }

    #[tokio::test]
    async fn a_missing_position_is_a_gap_wherever_it_is() {
        assert_eq!(gaps_of(0, &[1, 2, 3]).await, []);
        assert_eq!(gaps_of(7, &[8, 9, 12, 13, 20]).await, [(9, 12), (13, 20)]);
        // Entries that had not been stored have aged out of the log.
        assert_eq!(gaps_of(7, &[50, 51]).await, [(7, 50)]);
    }

    #[tokio::test]
    async fn a_log_that_was_created_anew_has_no_gap_at_its_start() {
        assert_eq!(gaps_of(0, &[1_000_001, 1_000_002]).await, []);
        assert_eq!(gaps_of(5_000, &[1_005_001, 1_005_003]).await, [(1_005_001, 1_005_003)]);
        // Beyond the start, no distance is too great to be a loss.
        assert_eq!(gaps_of(0, &[1, 3_000_000]).await, [(1, 3_000_000)]);
    }

    #[tokio::test]
    async fn what_was_read_before_a_failure_is_still_a_batch() {
        let missing = LogError::Missing { partition: Partition::new(0) };
        let mut gatherer = gatherer(Config::default(), 0, vec![Ok(entry(1, 1)), Err(missing), Ok(entry(2, 1))]);
        assert_eq!(gatherer.next().await.unwrap().batch.through, Seq::new(1));
        assert!(matches!(gatherer.next().await, Err(GatherError::Log(LogError::Missing { .. }))));
    }

    #[tokio::test]
    async fn the_age_is_that_of_the_oldest_entry_and_never_negative() {
        let reader: Arc<[u64]> = Arc::from([1_000, 9_000]);
        let entries = reader.iter().map(|seq| Ok(entry(*seq, 1))).collect();
        let gathered = gatherer(Config::default(), 999, entries).next().await.unwrap();
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert_eq!(gathered.age(at(1_500)), Duration::from_millis(500));
        assert_eq!(gathered.age(at(10)), Duration::ZERO);
    }
}
