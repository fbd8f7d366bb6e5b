//! Owns how events become parameters, and rows of `events` become events.

use huddle_domain::{Event, Seq, UserId};
use huddle_store::backend::{EventColumns, KindColumns, Unreadable, to_bigint};
use serde::Serialize;
use sqlx::{FromRow, Row as _, sqlite::SqliteRow};

/// A row that begins with the columns of [`EventColumns`], in their order.
#[derive(Debug)]
pub(crate) struct EventRow(pub(super) EventColumns);

impl FromRow<'_, SqliteRow> for EventRow {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
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
            mentions: mentions(row)?,
            entity_kind: row.try_get(11)?,
            entity_id: row.try_get(12)?,
        }))
    }
}

fn mentions(row: &SqliteRow) -> Result<Option<Vec<String>>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<&str>, _>(10)? else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(users) => Ok(Some(users)),
        Err(_) => {
            let (team, seq): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (table, column) = ("events", "mentions");
            let reason = "not a list of ids in JSON".to_owned();
            Err(sqlx::Error::Decode(Unreadable { table, row: format!("({team}, {seq})"), column, reason }.into()))
        }
    }
}

impl EventRow {
    /// The event in this row, after the event at `prev_seq`.
    pub(crate) fn into_event(self, prev_seq: Seq) -> Result<Event, Unreadable> {
        self.0.into_event(prev_seq)
    }
}

/// The columns of the rows.
pub(super) fn columns(rows: Vec<EventRow>) -> Vec<EventColumns> {
    rows.into_iter().map(|row| row.0).collect()
}

/// Events as the parameter of a statement: each an array of its columns, in the order of [`EventColumns`].
pub(super) fn parameter_of_events(events: &[&Event]) -> String {
    let rows = events.iter().map(|event| {
        let Event { team, seq, time, sender, client_id, kind, .. } = event;
        let columns = KindColumns::from(kind);
        // A text, not an array: what is compared with a row is what the row holds.
        let mentions = columns.mentions.map(|users| json(&users.iter().map(UserId::as_str).collect::<Vec<_>>()));
        (
            team.as_str(),
            to_bigint(*seq),
            time.0,
            sender.as_str(),
            client_id.as_str(),
            columns.kind,
            columns.body,
            columns.member_id,
            columns.member_role,
            columns.name,
            mentions,
            columns.entity_kind,
            columns.entity_id,
        )
    });
    parameter(rows)
}

/// Rows as the parameter of a statement: an array of arrays.
pub(super) fn parameter<R: Serialize>(rows: impl Iterator<Item = R>) -> String {
    json(&rows.collect::<Vec<_>>())
}

fn json(value: &impl Serialize) -> String {
    // Texts and numbers always have a form in JSON.
    serde_json::to_string(value).unwrap_or_default()
}
