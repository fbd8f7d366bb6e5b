//! Owns the file: how it is opened, what is checked before anything is changed, and its schema.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use huddle_domain::Partitions;
use huddle_service::config::ByteCount;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{Config, OpenError};

/// The file's name within the directory.
pub(crate) const FILE: &str = "huddle.db";
/// Tells Huddle's files from those of other programs that use SQLite ("hudl").
pub(crate) const APPLICATION_ID: i64 = 0x6875_646c;
/// How every file of SQLite begins (<https://www.sqlite.org/fileformat.html>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of a page: SQLite's default, said aloud because the file's size limit counts pages.
const PAGE_BYTES: u32 = 4_096;
/// Pages in the write-ahead log before they are moved into the file.
const CHECKPOINT_PAGES: u32 = 2_000;
/// The write-ahead log is cut back to this size, in bytes, after a burst.
const WAL_BYTES_KEPT: u32 = 32 * 1024 * 1024;
/// What the connection that writes keeps of the file in memory, in KiB: the pages at which keys are looked up and inserted.
const WRITER_CACHE_KIB: u32 = 16 * 1024;
/// A file of up to this size, in bytes, is checked as a whole when it is opened: a fraction of a second.
const CHECKED_AT_OPEN_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What appends leave free on the disk, in bytes, beside room for the write-ahead log to be moved into the file: once they
/// are refused, what was accepted must still become stored, or it could not be read while the disk is full.
const ROOM_LEFT_BYTES: u64 = 1024 * 1024;
/// How long a statement waits for a lock of another process, such as a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read may wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Only its owner reads and writes what people say.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How the connection that writes is made.
#[derive(Debug, Clone)]
pub(crate) struct WriterOptions {
    options: SqliteConnectOptions,
    max_bytes: ByteCount,
}

impl WriterOptions {
    /// Connects anew to a file that has been opened before.
    pub(crate) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        let mut connection = self.options.connect().await?;
        prepare_writer(&mut connection, false, self.max_bytes).await?;
        Ok(connection)
    }

    /// Whether the disk has room for more events. Where the system does not tell, SQLite will.
    pub(crate) fn has_room(&self) -> bool {
        let path = self.options.get_filename();
        let Ok(disk) = rustix::fs::statvfs(path) else { return true };
        let mut ahead = path.as_os_str().to_owned();
        ahead.push("-wal");
        let ahead_bytes = fs::metadata(ahead).map_or(0, |ahead| ahead.len());
        disk.f_bavail.saturating_mul(disk.f_frsize) > ahead_bytes.saturating_add(ROOM_LEFT_BYTES)
    }
}

/// The opened file.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) partitions: Partitions,
    pub(crate) reads: SqlitePool,
}

/// The opened file, and the one connection that writes it.
#[derive(Debug)]
pub(crate) struct Writable {
    pub(crate) file: Opened,
    pub(crate) connection: SqliteConnection,
    pub(crate) options: WriterOptions,
}

/// Makes the directory if it is missing. What is in it is for its owner only.
pub(crate) fn make_directory(directory: &Path) -> Result<(), OpenError> {
    match fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(directory) {
        Ok(()) => Ok(()),
        Err(error) => Err(OpenError::of_io(directory, error)),
    }
}

/// Opens the file for writing, makes it if it is missing, and brings it to this version's schema. The directory's lock is
/// the caller's.
pub(crate) async fn open(config: &Config) -> Result<Writable, OpenError> {
    let path = config.directory.join(FILE);
    make_file(&path).map_err(|error| OpenError::of_io(&path, error))?;
    look_at_magic(&path)?;
    let options = options(&path);
    let mut writer = options.clone().connect().await.map_err(|error| OpenError::of_sqlite(&path, error))?;
    let is_new = match check(&mut writer, &path).await {
        Ok(found) => found.is_none(),
        Err(error) => {
            // What SQLite has laid beside the file goes with the connection, and not some time after this has returned.
            let _ = writer.close().await;
            return Err(error);
        }
    };
    // From here on the file is changed.
    let prepare = async {
        prepare_writer(&mut writer, is_new, config.max_bytes).await?;
        migrate(&mut writer).await?;
        let partitions = settle_partitions(&mut writer, config.partitions).await?;
        sqlx::Result::Ok(partitions)
    };
    let partitions = prepare.await.map_err(|error| OpenError::of_sqlite(&path, error))?;
    let partitions = known_partitions(&path, partitions)?;
    if partitions.count() != config.partitions {
        return Err(OpenError::Partitions { path, found: partitions.count() });
    }
    let reads = pool(options.clone().read_only(true), config.read_connections);
    let options = WriterOptions { options, max_bytes: config.max_bytes };
    Ok(Writable { file: Opened { path, partitions, reads }, connection: writer, options })
}

/// Opens the file for reading, beside a process that may be writing.
pub(crate) async fn open_read_only(config: &Config) -> Result<Opened, OpenError> {
    let path = config.directory.join(FILE);
    if !path.try_exists().map_err(|error| OpenError::of_io(&path, error))? {
        return Err(OpenError::Missing { path });
    }
    look_at_magic(&path)?;
    let options = options(&path).read_only(true);
    let mut connection = options.clone().connect().await.map_err(|error| OpenError::of_sqlite(&path, error))?;
    let found = check(&mut connection, &path).await?.unwrap_or(0);
    if found < newest_known() {
        return Err(OpenError::Older { path, found });
    }
    let partitions = sqlx::query_scalar(PARTITIONS).fetch_one(&mut connection).await;
    let partitions = known_partitions(&path, partitions.map_err(|error| OpenError::of_sqlite(&path, error))?)?;
    connection.close().await.map_err(|error| OpenError::of_sqlite(&path, error))?;
    Ok(Opened { path, partitions, reads: pool(options, config.read_connections) })
}

/// Made by us, so that nobody else can read it at any time. SQLite gives its companions the same mode.
fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Before SQLite touches the file: one that is none of SQLite's is left alone.
pub(crate) fn look_at_magic(path: &Path) -> Result<(), OpenError> {
    let mut head = Vec::new();
    let read = OpenOptions::new().read(true).open(path).and_then(|file| {
        let limit = u64::try_from(MAGIC.len()).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut head)
    });
    read.map_err(|error| OpenError::of_io(path, error))?;
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(OpenError::Damaged { path: path.to_owned(), reason: "it does not begin as a file of SQLite".to_owned() })
}

pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .disable_statement_logging()
}

fn pool(options: SqliteConnectOptions, connections: u32) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

pub(crate) const NEWEST_APPLIED: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";

/// Reads what tells whether this version may write the file, and changes nothing. Returns the schema's version,
/// `None` when the file is new.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<Option<i64>, OpenError> {
    let failed = |error| OpenError::of_sqlite(path, error);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.map_err(failed)?;
    if tables == 0 {
        return Ok(None);
    }
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(OpenError::NotHuddle { path: path.to_owned() });
    }
    let found: i64 = sqlx::query_scalar(NEWEST_APPLIED).fetch_one(&mut *connection).await.map_err(failed)?;
    if found > newest_known() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: newest_known() });
    }
    let bytes = fs::metadata(path).map_err(|error| OpenError::of_io(path, error))?.len();
    if bytes <= CHECKED_AT_OPEN_BYTES_MAX {
        let report: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await.map_err(failed)?;
        if report != "ok" {
            return Err(OpenError::Damaged { path: path.to_owned(), reason: report });
        }
    }
    Ok(Some(found))
}

/// The settings of the one connection that writes; those of the file too when it is new.
async fn prepare_writer(writer: &mut SqliteConnection, is_new: bool, max_bytes: ByteCount) -> sqlx::Result<()> {
    if is_new {
        let settings = format!("PRAGMA page_size = {PAGE_BYTES}; PRAGMA application_id = {APPLICATION_ID}");
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *writer).await?;
    }
    let max_pages = max_bytes.as_u64() / u64::from(PAGE_BYTES);
    let settings = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {WAL_BYTES_KEPT}; PRAGMA max_page_count = {max_pages}; PRAGMA cache_size = -{WRITER_CACHE_KIB}"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(writer).await.map(drop)
}

async fn migrate(writer: &mut SqliteConnection) -> sqlx::Result<()> {
    MIGRATIONS.run_direct(None, writer, false).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source,
        error => sqlx::Error::Migrate(Box::new(error)),
    })
}

pub(crate) const PARTITIONS: &str = "SELECT partitions FROM log_shape";

/// The number of partitions that the file was made with: `wanted` when it is new.
async fn settle_partitions(writer: &mut SqliteConnection, wanted: u16) -> sqlx::Result<i64> {
    const SETTLE: &str = "INSERT INTO log_shape (one, partitions) VALUES (1, ?) ON CONFLICT DO NOTHING";
    sqlx::query(SETTLE).bind(i64::from(wanted)).execute(&mut *writer).await?;
    sqlx::query_scalar(PARTITIONS).fetch_one(writer).await
}

fn known_partitions(path: &Path, count: i64) -> Result<Partitions, OpenError> {
    let partitions = u16::try_from(count).ok().and_then(|count| Partitions::new(count).ok());
    partitions.ok_or_else(|| OpenError::Damaged {
        path: path.to_owned(),
        reason: format!("it says that it has {count} partitions"),
    })
}

pub(crate) fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}
