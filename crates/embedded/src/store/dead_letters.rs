//! What could not be applied is kept, with its reason, for an operator to look at.

use std::fmt::Write as _;

use huddle_domain::{Partition, TeamId};
use huddle_store::{DeadLetter, backend::to_bigint};
use sqlx::SqliteConnection;

use super::row::parameter;

/// Records `letters`. One that stands there already stays as it is.
pub(super) async fn record_dead_letters(
    connection: &mut SqliteConnection,
    partition: Partition,
    letters: &[DeadLetter],
) -> Result<(), sqlx::Error> {
    const RECORD_DEAD_LETTERS: &str = "
        INSERT INTO dead_letters (partition, seq, time_ms, team_id, reason, detail, payload)
        SELECT ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, unhex(value ->> 5)
        FROM jsonb_each(?1)
        WHERE true
        ON CONFLICT (partition, seq) DO NOTHING";
    if letters.is_empty() {
        return Ok(());
    }
    let rows = letters.iter().map(|letter| {
        // A text with a NUL in it ends there for many of SQLite's functions.
        let detail = letter.detail.replace('\0', "\u{fffd}");
        let team = letter.team.as_ref().map(TeamId::as_str);
        (to_bigint(letter.seq), letter.time.0, team, letter.reason.as_str(), detail, hex(&letter.payload))
    });
    sqlx::query(RECORD_DEAD_LETTERS).bind(parameter(rows)).bind(partition.number()).execute(connection).await.map(drop)
}

/// JSON has no form for bytes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
