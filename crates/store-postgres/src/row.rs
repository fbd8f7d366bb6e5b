//! Owns the rows of `events` as Postgres sends them.

use huddle_store::backend::EventColumns;
use sqlx::{FromRow, Row as _, postgres::PgRow};

/// A row that begins with the columns of [`EventColumns`], in their order.
#[derive(Debug)]
pub(crate) struct EventRow(pub(crate) EventColumns);

impl FromRow<'_, PgRow> for EventRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let mentions: Option<Vec<Option<String>>> = row.try_get(10)?;
        Ok(Self(EventColumns {
            team_id: row.try_get(0)?,
            seq: row.try_get(1)?,
            time_ms: row.try_get(2)?,
            sender_id: row.try_get(3)?,
            client_id: row.try_get(4)?,
            kind: row.try_get(5)?,
            body: row.try_get(6)?,
            member_id: row.try_get(7)?,
            member_role: row.try_get(8)?,
            name: row.try_get(9)?,
            // A null is no id, and neither is an empty text.
            mentions: mentions.map(|users| users.into_iter().map(Option::unwrap_or_default).collect()),
            entity_kind: row.try_get(11)?,
            entity_id: row.try_get(12)?,
        }))
    }
}

/// The columns of the rows.
pub(crate) fn columns(rows: Vec<EventRow>) -> Vec<EventColumns> {
    rows.into_iter().map(|row| row.0).collect()
}
