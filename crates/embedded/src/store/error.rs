//! Owns what a failure of SQLite means to the callers of the store. SQLite's own words name tables, columns and
//! constraints, never what stands in them.

use huddle_store::StoreError;

// Primary result codes (https://www.sqlite.org/rescode.html).
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

/// What `error` means, in `context`: the name of the operation.
pub(crate) fn store_error(context: &'static str, error: sqlx::Error) -> StoreError {
    match primary_code(&error) {
        Some(BUSY | LOCKED | NOMEM | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL) => {
            StoreError::Unavailable { context, source: error.into() }
        }
        Some(CORRUPT | NOTADB) => StoreError::Unsuitable {
            problem: "the database file is damaged".to_owned(),
            remedy: "restore a backup, or rescue what can be read with `huddle export`".to_owned(),
        },
        Some(READONLY) => StoreError::Unsuitable {
            problem: "the database file cannot be written".to_owned(),
            remedy: "make the data directory and the files in it writable for the user that runs huddle".to_owned(),
        },
        Some(_) => broken(context, error),
        None => match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => StoreError::Unavailable { context, source: error.into() },
            error => broken(context, error),
        },
    }
}

pub(super) fn broken(context: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Broken { context: context.to_owned(), source: source.into() }
}

/// Whether there is no room: the disk is full, or the file is as large as it may be.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(FULL)
}

/// Whether SQLite refuses the content of a row: no retry helps, and no other row is to blame.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(CONSTRAINT | TOOBIG))
}

/// The refusal in words that hold nothing of the row.
pub(super) fn refusal(error: &sqlx::Error) -> String {
    let database = error.as_database_error();
    database.map_or_else(|| "refused".to_owned(), |error| format!("SQLite: {}", error.message()))
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    // The primary code is the lowest byte of the extended one.
    Some(extended & 0xff)
}
