//! Owns reads that must not miss anything up to a position: each says how far its partition is stored, in the statement and
//! so in the snapshot of the read itself.
//!
//! Such a statement has the form `SELECT read.*, (SELECT seq FROM log_progress WHERE partition = $n) AS stored FROM (SELECT
//! 1) AS always LEFT JOIN (the read) AS read ON true`: one row says how far, also when the read finds nothing.

use huddle_domain::Seq;
use huddle_store::{Fence, StoreError, backend::from_bigint};
use sqlx::{FromRow, Row as _, ValueRef as _, postgres::PgRow};

/// A row of such a read. Its first column is null when the read has found nothing.
#[derive(Debug)]
pub(crate) struct Fenced<T> {
    found: Option<T>,
    stored: Option<i64>,
}

impl<'r, T: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Fenced<T> {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let found = if row.try_get_raw(0)?.is_null() { None } else { Some(T::from_row(row)?) };
        Ok(Self { found, stored: row.try_get("stored")? })
    }
}

/// The partition whose position the read has to see; null for a read without a fence.
pub(crate) fn partition_of(fence: Option<Fence>) -> Option<i32> {
    fence.map(|fence| i32::from(fence.partition.number()))
}

/// What the read has found, unless it was made behind its fence.
pub(crate) fn judge<T>(rows: Vec<Fenced<T>>, fence: Option<Fence>) -> Result<Vec<T>, StoreError> {
    if let Some(fence) = fence {
        let stored = rows.first().and_then(|row| row.stored);
        fence.check(stored.map_or(Seq::ZERO, from_bigint))?;
    }
    Ok(rows.into_iter().filter_map(|row| row.found).collect())
}
