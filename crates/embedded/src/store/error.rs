//! Owns what a failure of SQLite means to the callers of the store. SQLite's own words name tables, columns and
//! constraints, never what stands in them.

use huddle_store::StoreError;

use crate::error::{code, primary_code};

/// What `error` means, in `context`: the name of the operation.
pub(crate) fn store_error(context: &'static str, error: sqlx::Error) -> StoreError {
    match primary_code(&error) {
        Some(
            code::BUSY
            | code::LOCKED
            | code::NOMEM
            | code::INTERRUPT
            | code::IOERR
            | code::FULL
            | code::CANTOPEN
            | code::PROTOCOL,
        ) => StoreError::Unavailable { context, source: error.into() },
        Some(code::CORRUPT | code::NOTADB) => StoreError::Unsuitable {
            problem: "the database file is damaged".to_owned(),
            remedy: "restore a backup, or rescue what can be read with `huddle export`".to_owned(),
        },
        Some(code::READONLY) => StoreError::Unsuitable {
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

/// Whether SQLite refuses the content of a row: no retry helps, and no other row is to blame.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::CONSTRAINT | code::TOOBIG))
}

/// The refusal in words that hold nothing of the row.
pub(super) fn refusal(error: &sqlx::Error) -> String {
    let database = error.as_database_error();
    database.map_or_else(|| "refused".to_owned(), |error| format!("SQLite: {}", error.message()))
}
