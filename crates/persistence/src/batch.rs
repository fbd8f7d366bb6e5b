//! What has gathered while the last batch was committed becomes the next one, within bounds, and never beyond a gap that
//! nobody has decided about.

use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _};
use huddle_domain::{Body, EventKind, Seq, Tags, UnixMillis, limits::SEQ_GAP_OF_NEW_LOG};
use huddle_log::{Entry, EntryContent, LogError, Reader};
use huddle_store::{Batch, BatchItem, DeadLetter, DeadLetterReason, LogGap};

use crate::Config;

/// What a row of `mentions` takes beside the user's id, in bytes: the team's id, time and position, and the row's own header.
const MENTION_ROW_BYTES: usize = 128;

/// Entries of a log, gathered into a batch that is never empty.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) batch: Batch,
    /// When the log took the oldest entry.
    pub(crate) oldest: UnixMillis,
}

/// What comes next in a log.
#[derive(Debug)]
pub(crate) enum Next {
    /// Entries that follow on those before.
    Batch(Gathered),
    /// A stretch that is missing before what comes then. It is met again and again until [`Gatherer::go_past`] or
    /// [`Gatherer::read_from`] settles it.
    Gap(LogGap),
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
    /// The entry beyond a gap.
    beyond: Option<Entry>,
    /// The gap that is passed over, to be put on record with the entries beyond it.
    passed_over: Option<LogGap>,
}

impl Gatherer {
    /// Gathers what `reader` yields, which was started after `position`.
    pub(crate) fn new(reader: Reader, config: Config, position: Seq) -> Self {
        Self { reader, config, position, at_start: true, failed: None, beyond: None, passed_over: None }
    }

    /// Goes on with `reader`, which was started after the position before the gap that was met.
    pub(crate) fn read_from(&mut self, reader: Reader) {
        self.reader = reader;
        self.failed = None;
        self.beyond = None;
    }

    /// Goes on beyond `gap`, which was met. The next batch holds it.
    pub(crate) fn go_past(&mut self, gap: LogGap) {
        self.passed_over = Some(gap);
    }

    /// Waits for an entry, then takes what is there without waiting again, up to the bounds or a gap.
    ///
    /// # Cancel safety
    /// Safe: once an entry has been taken, nothing is awaited.
    pub(crate) async fn next(&mut self) -> Result<Next, GatherError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let first = match self.beyond.take() {
            Some(beyond) => beyond,
            None => self.reader.next().await.ok_or(GatherError::Ended)??,
        };
        let mut gathered = Gathered { batch: Batch::default(), oldest: first.time };
        if let Some(gap) = self.gap_before(first.seq) {
            if self.passed_over.take() != Some(gap) {
                self.beyond = Some(first);
                return Ok(Next::Gap(gap));
            }
            gathered.batch.gaps.push(gap);
        }
        let mut bytes = self.push(first, &mut gathered);
        while gathered.batch.items.len() < self.config.batch_entries_max
            && bytes < self.config.batch_bytes_max.as_usize()
        {
            match self.reader.next().now_or_never() {
                Some(Some(Ok(entry))) if self.gap_before(entry.seq).is_some() => {
                    self.beyond = Some(entry);
                    break;
                }
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
        Ok(Next::Batch(gathered))
    }

    /// Takes `entry` into `gathered`, and returns its size.
    fn push(&mut self, entry: Entry, gathered: &mut Gathered) -> usize {
        self.position = entry.seq;
        self.at_start = false;
        let (item, bytes) = item(entry);
        gathered.batch.items.push(item);
        bytes
    }

    /// The positions that are missing before `seq`. A log that was created anew begins at a certain distance from what was
    /// stored, and that one is not a loss by itself; any other is, be it greater: entries have aged out, or the store went
    /// back since.
    fn gap_before(&self, seq: Seq) -> Option<LogGap> {
        if seq == self.position.next() {
            return None;
        }
        let first_of_new_log = Seq::new(self.position.get().saturating_add(SEQ_GAP_OF_NEW_LOG)).next();
        let begins_anew = self.at_start && seq == first_of_new_log;
        (!begins_anew).then_some(LogGap { after: self.position, before: seq })
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

    async fn batch_of(gatherer: &mut Gatherer) -> Gathered {
        match gatherer.next().await.unwrap() {
            Next::Batch(batch) => batch,
            Next::Gap(gap) => panic!("{gap:?}"),
        }
    }

    fn gap(after: u64, before: u64) -> LogGap {
        LogGap { after: Seq::new(after), before: Seq::new(before) }
    }

    /// The gaps that are met where each is passed over, and are in the batches then.
    async fn gaps_of(position: u64, seqs: &[u64]) -> Vec<LogGap> {
        let entries = seqs.iter().map(|seq| Ok(entry(*seq, 1))).collect();
        let mut gatherer = gatherer(Config::default(), position, entries);
        let (mut met, mut recorded, mut through) = (Vec::new(), Vec::new(), Seq::ZERO);
        while through.get() < seqs[seqs.len() - 1] {
            match gatherer.next().await.unwrap() {
                Next::Batch(next) => {
                    assert!(next.batch.gaps.iter().all(|gap| gap.before <= next.batch.items[0].seq()));
                    recorded.extend(next.batch.gaps);
                    through = next.batch.through;
                }
                Next::Gap(gap) => {
                    assert!(matches!(gatherer.next().await, Ok(Next::Gap(again)) if again == gap));
                    met.push(gap);
                    gatherer.go_past(gap);
                }
            }
        }
        assert_eq!(met, recorded);
        met
    }

    #[tokio::test]
    async fn what_is_there_becomes_one_batch_within_its_bounds() {
        let entries = || (1..=10).map(|seq| Ok(entry(seq, 100))).collect();
        let sizes = async |config: Config| {
            let mut batches = gatherer(config, 0, entries());
            let mut sizes = Vec::new();
            while sizes.iter().sum::<usize>() < 10 {
                let gathered = batch_of(&mut batches).await;
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
            batch_of(&mut gatherer(config.clone(), 0, entries)).await.batch.items.len()
        };
        assert_eq!((first(0).await, first(1).await, first(10).await, first(50).await), (10, 10, 2, 1));
    }

    #[tokio::test]
    async fn a_missing_position_is_a_gap_wherever_it_is() {
        assert_eq!(gaps_of(0, &[1, 2, 3]).await, []);
        assert_eq!(gaps_of(7, &[8, 9, 12, 13, 20]).await, [gap(9, 12), gap(13, 20)]);
        // Entries that had not been stored have aged out of the log.
        assert_eq!(gaps_of(7, &[50, 51]).await, [gap(7, 50)]);
    }

    #[tokio::test]
    async fn what_lies_before_a_gap_is_a_batch_of_its_own_and_what_was_missing_can_come_later() {
        let entries = |seqs: &[u64]| seqs.iter().map(|seq| Ok(entry(*seq, 1))).collect::<Vec<_>>();
        let mut gatherer = gatherer(Config::default(), 0, entries(&[1, 2, 5, 6]));
        assert_eq!(batch_of(&mut gatherer).await.batch.through, Seq::new(2));
        assert!(matches!(gatherer.next().await, Ok(Next::Gap(met)) if met == gap(2, 5)));
        gatherer.read_from(stream::iter(entries(&[3, 4, 5])).chain(stream::pending()).boxed());
        let found = batch_of(&mut gatherer).await;
        assert_eq!(found.batch.items.iter().map(|item| item.seq().get()).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(found.batch.gaps, []);
    }

    #[tokio::test]
    async fn a_log_that_was_created_anew_has_no_gap_at_its_start() {
        assert_eq!(gaps_of(0, &[1_000_001, 1_000_002]).await, []);
        assert_eq!(gaps_of(5_000, &[1_005_001, 1_005_003]).await, [gap(1_005_001, 1_005_003)]);
        // What a new log had at its beginning has aged out, or the store went back since it was created.
        assert_eq!(gaps_of(5_000, &[1_005_002]).await, [gap(5_000, 1_005_002)]);
        assert_eq!(gaps_of(4_990, &[1_005_001]).await, [gap(4_990, 1_005_001)]);
        // Beyond the start, no distance is too great to be a loss.
        assert_eq!(gaps_of(0, &[1, 3_000_000]).await, [gap(1, 3_000_000)]);
    }

    #[tokio::test]
    async fn what_was_read_before_a_failure_is_still_a_batch() {
        let missing = LogError::Missing { partition: Partition::new(0) };
        let mut gatherer = gatherer(Config::default(), 0, vec![Ok(entry(1, 1)), Err(missing), Ok(entry(2, 1))]);
        assert_eq!(batch_of(&mut gatherer).await.batch.through, Seq::new(1));
        assert!(matches!(gatherer.next().await, Err(GatherError::Log(LogError::Missing { .. }))));
    }

    #[tokio::test]
    async fn the_age_is_that_of_the_oldest_entry_and_never_negative() {
        let reader: Arc<[u64]> = Arc::from([1_000, 9_000]);
        let entries = reader.iter().map(|seq| Ok(entry(*seq, 1))).collect();
        let gathered = batch_of(&mut gatherer(Config::default(), 999, entries)).await;
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert_eq!(gathered.age(at(1_500)), Duration::from_millis(500));
        assert_eq!(gathered.age(at(10)), Duration::ZERO);
    }
}
