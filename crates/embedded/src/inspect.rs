//! Looks at a directory without changing what is in it: what an operator's check-up reports. Works beside a process
//! that writes, and on files that nobody can open for work.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use huddle_domain::{Partition, Seq, UnixMillis};
use huddle_store::{LogGap, RecordedGap};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::{
    OpenError,
    file::{self, APPLICATION_ID, FILE},
    lock::LOCK,
    store::{from_bigint, progress, to_bigint},
};

/// The write-ahead log's name within the directory.
const WAL: &str = "huddle.db-wal";
/// Events that are counted as not stored yet; more are not told apart.
pub const UNSTORED_COUNTED_MAX: u64 = 1_000_000;
/// Gaps of the log that are listed one by one.
pub const GAPS_LISTED_MAX: u32 = 10;
/// Faults that a check of the whole file lists; it stops there.
const FAULTS_MAX: usize = 20;
/// The same for SQLite.
const INTEGRITY_CHECK: &str = "PRAGMA integrity_check(20)";
/// Steps of SQLite (pages, and later instructions) between two looks at the clock.
const STEPS_PER_LOOK: u32 = 250;
/// Instructions for one row of `events`, as counted: they tell how far the comparison of rows has come. When the table
/// changes and this does not, the figure that people see is off, and nothing else.
const STEPS_PER_ROW: u64 = 56;

/// The process that has a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, as far as it has said so.
    pub pid: Option<u32>,
}

/// Who has `directory`; `None` when nobody does. For the moment of the look itself, no process can take the directory.
///
/// # Errors
/// When the lock file cannot be read.
pub fn holder(directory: &Path) -> io::Result<Option<Holder>> {
    let mut lock = match File::open(directory.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            lock.read_to_string(&mut pid)?;
            Ok(Some(Holder { pid: pid.trim().parse().ok() }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What is in a file. Holds nothing that people wrote.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The schema's version; `None` when the file is new and has none yet.
    pub schema: Option<i64>,
    /// The newest schema that this version knows.
    pub schema_known: i64,
    /// How large the file is, in bytes.
    pub file_bytes: u64,
    /// How large its write-ahead log is, in bytes.
    pub wal_bytes: u64,
    /// What the tables say; `None` unless the schema is the one that this version knows.
    pub contents: Option<Contents>,
}

/// What the tables say.
#[derive(Debug, Clone)]
pub struct Contents {
    /// How far each partition is stored, ascending.
    pub partitions: Vec<InspectedPartition>,
    /// How many dead letters there are for each reason, by the reason's name.
    pub dead_letters: Vec<(String, u64)>,
    /// How many gaps of the log are on record.
    pub gap_count: u64,
    /// The newest of them, newest first: at most [`GAPS_LISTED_MAX`].
    pub gaps: Vec<RecordedGap>,
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InspectedPartition {
    /// Which.
    pub partition: Partition,
    /// How far it is stored.
    pub stored: Seq,
    /// How many accepted events are not stored yet; at most [`UNSTORED_COUNTED_MAX`].
    pub unstored: u64,
}

/// Reads what the file in `directory` says of itself. A file with another schema is no error here.
///
/// # Errors
/// [`OpenError`] when there is no file, or one that cannot be read, is damaged where this looks, or is not Huddle's.
pub async fn inspect(directory: &Path) -> Result<Inspection, OpenError> {
    let path = directory.join(FILE);
    let mut connection = open(&path).await?;
    let looked = look(&mut connection, &path, directory).await;
    close(connection).await;
    looked
}

/// How far a check of a whole file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrityStage {
    /// The structure of the pages is being checked.
    Pages {
        /// About how many were checked.
        checked: u64,
        /// How many there are.
        all: u64,
    },
    /// The structure is well; rows are being compared with their indexes.
    Rows {
        /// About how many were.
        checked: u64,
        /// How many there are; 0 when that cannot be told.
        all: u64,
    },
}

/// What a check of a whole file has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// All of it is well.
    Whole,
    /// What is not, in SQLite's words, which quote no row: 1 to 20 lines.
    Damaged(Vec<String>),
    /// Nothing wrong was found until the time was over.
    Unfinished(IntegrityStage),
}

/// Checks every page, row and index of the file in `directory`, for `time_max` at most. `report` is told from another
/// thread how far it has come, many times a second. While it lasts, the write-ahead log of a process that writes cannot
/// be cut back.
///
/// # Errors
/// [`OpenError`] when there is no file, or one that cannot be read at all.
///
/// # Cancel safety
/// When it is dropped, a thread goes on until `time_max` is over.
pub async fn check_integrity(
    directory: &Path,
    time_max: Duration,
    mut report: impl FnMut(IntegrityStage) + Send + 'static,
) -> Result<Integrity, OpenError> {
    let path = directory.join(FILE);
    let mut connection = open(&path).await?;
    let failed = |error| OpenError::of_sqlite(&path, error);
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut connection).await.map_err(failed)?;
    let pages = u64::try_from(pages).unwrap_or(0);
    // A damaged file may not tell, and is checked all the same.
    let rows = sqlx::query_scalar("SELECT coalesce(max(rowid), 0) FROM events").fetch_one(&mut connection).await;
    let rows = rows.ok().and_then(|rows: i64| u64::try_from(rows).ok()).unwrap_or(0);

    let is_over = Arc::new(AtomicBool::new(false));
    let stage = Arc::new(std::sync::Mutex::new(IntegrityStage::Pages { checked: 0, all: pages }));
    let deadline = Instant::now() + time_max;
    let mut handle = connection.lock_handle().await.map_err(failed)?;
    handle.set_progress_handler(i32::try_from(STEPS_PER_LOOK).unwrap_or(i32::MAX), {
        let (is_over, stage) = (Arc::clone(&is_over), Arc::clone(&stage));
        let mut steps = 0_u64;
        move || {
            steps = steps.saturating_add(u64::from(STEPS_PER_LOOK));
            let now = stage_after(steps, pages, rows);
            *stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
            report(now);
            let goes_on = Instant::now() < deadline;
            is_over.store(!goes_on, Ordering::Relaxed);
            goes_on
        }
    });
    drop(handle);
    let lines: sqlx::Result<Vec<String>> = sqlx::query_scalar(INTEGRITY_CHECK).fetch_all(&mut connection).await;
    if let Ok(mut handle) = connection.lock_handle().await {
        handle.remove_progress_handler();
    }
    close(connection).await;
    match lines {
        Ok(lines) if lines == ["ok"] => Ok(Integrity::Whole),
        // Several faults of one tree come as one text.
        Ok(lines) => {
            let lines = lines.iter().flat_map(|text| text.lines()).map(str::to_owned);
            Ok(Integrity::Damaged(lines.take(FAULTS_MAX).collect()))
        }
        Err(_) if is_over.load(Ordering::Relaxed) => {
            Ok(Integrity::Unfinished(*stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
        }
        Err(error) => match OpenError::of_sqlite(&path, error) {
            OpenError::Damaged { reason, .. } => Ok(Integrity::Damaged(vec![reason])),
            error => Err(error),
        },
    }
}

fn stage_after(steps: u64, pages: u64, rows: u64) -> IntegrityStage {
    match steps.checked_sub(pages) {
        None => IntegrityStage::Pages { checked: steps, all: pages },
        Some(steps) => IntegrityStage::Rows { checked: (steps / STEPS_PER_ROW).min(rows), all: rows },
    }
}

async fn open(path: &Path) -> Result<SqliteConnection, OpenError> {
    if !path.try_exists().map_err(|error| OpenError::of_io(path, error))? {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    file::look_at_magic(path)?;
    let options = file::options(path).read_only(true);
    options.connect().await.map_err(|error| OpenError::of_sqlite(path, error))
}

async fn close(connection: SqliteConnection) {
    // It only read: there is nothing that could be lost.
    let _ = connection.close().await;
}

async fn look(connection: &mut SqliteConnection, path: &Path, directory: &Path) -> Result<Inspection, OpenError> {
    let bytes = |name| match fs::metadata(directory.join(name)) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(OpenError::of_io(&directory.join(name), error)),
    };
    let (file_bytes, wal_bytes) = (bytes(FILE)?, bytes(WAL)?);
    let failed = |error| OpenError::of_sqlite(path, error);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.map_err(failed)?;
    let schema_known = file::newest_known();
    if tables == 0 {
        return Ok(Inspection { schema: None, schema_known, file_bytes, wal_bytes, contents: None });
    }
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(OpenError::NotHuddle { path: path.to_owned() });
    }
    let schema: i64 = sqlx::query_scalar(file::NEWEST_APPLIED).fetch_one(&mut *connection).await.map_err(failed)?;
    let contents = if schema == schema_known { Some(contents(connection).await.map_err(failed)?) } else { None };
    Ok(Inspection { schema: Some(schema), schema_known, file_bytes, wal_bytes, contents })
}

async fn contents(connection: &mut SqliteConnection) -> sqlx::Result<Contents> {
    const UNSTORED: &str = "
        SELECT count(*)
        FROM (SELECT 1 FROM events INDEXED BY events_in_order WHERE partition = ?1 AND seq > ?2 LIMIT ?3)";
    const DEAD_LETTERS: &str = "SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY reason";
    const GAPS: &str = "
        SELECT partition, after_seq, before_seq, found_at_ms
        FROM log_gaps ORDER BY found_at_ms DESC, partition, after_seq DESC LIMIT ?1";
    // One snapshot for all of it.
    let mut transaction = connection.begin().await?;
    let count: i64 = sqlx::query_scalar(file::PARTITIONS).fetch_one(&mut *transaction).await?;
    let mut partitions = Vec::new();
    for number in 0..u16::try_from(count).unwrap_or(0) {
        let partition = Partition::new(number);
        let stored = progress(&mut *transaction, partition).await?.unwrap_or(Seq::ZERO);
        let unstored: i64 = sqlx::query_scalar(UNSTORED)
            .bind(number)
            .bind(to_bigint(stored))
            .bind(i64::try_from(UNSTORED_COUNTED_MAX).unwrap_or(i64::MAX))
            .fetch_one(&mut *transaction)
            .await?;
        partitions.push(InspectedPartition { partition, stored, unstored: from_bigint(unstored).get() });
    }
    let dead_letters: Vec<(String, i64)> = sqlx::query_as(DEAD_LETTERS).fetch_all(&mut *transaction).await?;
    let dead_letters = dead_letters.into_iter().map(|(reason, count)| (reason, from_bigint(count).get())).collect();
    let gap_count: i64 = sqlx::query_scalar("SELECT count(*) FROM log_gaps").fetch_one(&mut *transaction).await?;
    let gaps: Vec<(u16, i64, i64, i64)> =
        sqlx::query_as(GAPS).bind(GAPS_LISTED_MAX).fetch_all(&mut *transaction).await?;
    let gaps = gaps.into_iter().map(|(partition, after, before, found_at)| RecordedGap {
        partition: Partition::new(partition),
        gap: LogGap { after: from_bigint(after), before: from_bigint(before) },
        found_at: UnixMillis(found_at),
    });
    let (gap_count, gaps) = (from_bigint(gap_count).get(), gaps.collect());
    transaction.rollback().await?;
    Ok(Contents { partitions, dead_letters, gap_count, gaps })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::Config;

    const ROWS: u64 = 20_000;

    /// A directory whose file holds [`ROWS`] messages.
    async fn filled() -> tempfile::TempDir {
        const FILL: &str = "
            WITH RECURSIVE numbers (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < ?)
            INSERT INTO events (team_id, seq, partition, time_ms, sender_id, client_id, kind, body)
            SELECT 'team', value, 0, 0, 'ann', 'c' || value, 'posted', hex(zeroblob(100)) FROM numbers";
        let directory = tempfile::tempdir().unwrap();
        let config = Config { directory: directory.path().to_owned(), ..Config::default() };
        let mut writable = file::open(&config).await.unwrap();
        let rows = i64::try_from(ROWS).unwrap();
        sqlx::query(FILL).bind(rows).execute(&mut writable.connection).await.unwrap();
        writable.connection.close().await.unwrap();
        directory
    }

    #[tokio::test]
    async fn a_check_tells_about_how_far_it_has_come() {
        let directory = filled().await;
        let reports = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&reports);
        let found = check_integrity(directory.path(), Duration::from_mins(1), move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(found.await.unwrap(), Integrity::Whole);
        let steps = reports.load(Ordering::Relaxed) * u64::from(STEPS_PER_LOOK) / ROWS;
        assert!(steps.abs_diff(STEPS_PER_ROW) <= STEPS_PER_ROW / 10, "{steps} for each row");
    }

    #[tokio::test]
    async fn a_check_ends_in_time_and_says_where() {
        let directory = filled().await;
        let found = check_integrity(directory.path(), Duration::ZERO, |_| {}).await.unwrap();
        assert!(matches!(found, Integrity::Unfinished(IntegrityStage::Pages { checked: 1.., .. })), "{found:?}");
        let inspection = inspect(directory.path()).await.unwrap();
        assert_eq!(inspection.schema, Some(inspection.schema_known));
        let partition = inspection.contents.unwrap().partitions[0];
        assert_eq!((partition.stored, partition.unstored), (Seq::ZERO, ROWS));
    }

    #[tokio::test]
    async fn the_holder_of_a_directory_is_named_until_it_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(holder(directory.path()).unwrap(), None);
        let config = Config { directory: directory.path().to_owned(), ..Config::default() };
        let embedded = crate::Embedded::open(&config).await.unwrap();
        assert_eq!(holder(directory.path()).unwrap(), Some(Holder { pid: Some(std::process::id()) }));
        embedded.close().await;
        drop(embedded);
        assert_eq!(holder(directory.path()).unwrap(), None);
    }
}
