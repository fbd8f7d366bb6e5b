//! Why the file cannot be opened, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::ConfigError;

/// The file cannot be opened. Nothing of it was changed. A retry helps only once what the text says is done.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process has the directory.
    #[error("{} is in use by another process (pid {pid}): stop it first, or choose another --data-dir", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The other process, as far as it has said so.
        pid: String,
    },
    /// The directory or a file in it cannot be written.
    #[error("cannot write {}: {reason}; make it writable for this user, or choose another --data-dir", path.display())]
    NotWritable {
        /// What cannot be written.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There is no file to read.
    #[error("there is no {}: `huddle up` makes one, or choose another --data-dir", path.display())]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: make room, then start again; nothing that was acknowledged is lost", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file is one of SQLite, and not of Huddle.
    #[error("{} is a file of another program: choose another --data-dir", path.display())]
    NotHuddle {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "{} is damaged ({reason}): it was left as it is; restore a backup of the directory, or copy it and rescue what \
         can be read with `huddle export --data-dir COPY`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer version of Huddle made the file.
    #[error(
        "{} was made by a newer version of huddle (schema {found}, this version knows {known}): use that version",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// An older version of Huddle made the file, and it is opened for reading only.
    #[error("{} has an older schema ({found}): start `huddle up` once with this version", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The file's log was made with another number of partitions.
    #[error("{} was made with {found} partition(s): set `embedded.partitions` to {found}", path.display())]
    Partitions {
        /// The file.
        path: PathBuf,
        /// How many it has.
        found: u16,
    },
    /// Something else went wrong.
    #[error("cannot open {}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
pub(crate) mod code {
    pub(crate) const ERROR: i32 = 1;
    pub(crate) const BUSY: i32 = 5;
    pub(crate) const LOCKED: i32 = 6;
    pub(crate) const NOMEM: i32 = 7;
    pub(crate) const READONLY: i32 = 8;
    pub(crate) const INTERRUPT: i32 = 9;
    pub(crate) const IOERR: i32 = 10;
    pub(crate) const CORRUPT: i32 = 11;
    pub(crate) const FULL: i32 = 13;
    pub(crate) const CANTOPEN: i32 = 14;
    pub(crate) const PROTOCOL: i32 = 15;
    pub(crate) const TOOBIG: i32 = 18;
    pub(crate) const CONSTRAINT: i32 = 19;
    pub(crate) const NOTADB: i32 = 26;
}

/// The primary result code of an error that SQLite reported.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    // The low byte of an extended code is the primary one.
    Some(extended & 0xff)
}

/// Growing the shared memory of the write-ahead log failed: on a file system in memory, that is a full disk.
const IOERR_SHMSIZE: &str = "4874";

/// Whether there was no room.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    primary_code(error) == Some(code::FULL)
        || database.and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == IOERR_SHMSIZE)
}

/// Whether the transaction is lost and the file is well: a savepoint that is gone because SQLite has ended the transaction
/// by itself, a lock that was not had in time, a row that could not be read.
pub(crate) fn is_undone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => matches!(primary_code(error), Some(code::ERROR | code::BUSY | code::LOCKED)),
        sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

/// Whether the file or its disk fails, whatever was asked of them: what was written is not known any longer.
pub(crate) fn is_ruin(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            let ruin = [code::READONLY, code::IOERR, code::CORRUPT, code::CANTOPEN, code::NOTADB];
            !is_full(error) && primary_code(error).is_some_and(|code| ruin.contains(&code))
        }
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

impl OpenError {
    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => Self::NotWritable { path, reason: source.to_string() },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Failed { path, source: source.into() },
        }
    }

    pub(crate) fn of_sqlite(path: &Path, error: sqlx::Error) -> Self {
        let path = path.to_owned();
        if is_full(&error) {
            return Self::DiskFull { path };
        }
        match primary_code(&error) {
            Some(code::READONLY | code::CANTOPEN) => Self::NotWritable { path, reason: told(&error) },
            Some(code::CORRUPT | code::NOTADB) => Self::Damaged { path, reason: told(&error) },
            _ => Self::Failed { path, source: error.into() },
        }
    }
}

/// SQLite's own words, which name neither rows nor values.
fn told(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| "unreadable".to_owned(), |error| error.message().to_owned())
}
