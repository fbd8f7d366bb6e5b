//! What could not be applied is kept, with its reason, for an operator to look at.

use huddle_domain::{Partition, TeamId};
use huddle_store::{DeadLetter, backend::to_bigint};
use sqlx::PgConnection;

/// Records `letters`. One that stands there already stays as it is.
pub(super) async fn record_dead_letters(
    connection: &mut PgConnection,
    partition: Partition,
    letters: &[DeadLetter],
) -> Result<(), sqlx::Error> {
    const RECORD_DEAD_LETTERS: &str = "
        INSERT INTO dead_letters (partition, seq, time_ms, team_id, reason, detail, payload)
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[])
        ON CONFLICT (partition, seq) DO NOTHING";
    if letters.is_empty() {
        return Ok(());
    }
    // Postgres keeps no NUL in a text, and a dead letter must not be refused in its turn.
    let details: Vec<String> = letters.iter().map(|letter| letter.detail.replace('\0', "\u{fffd}")).collect();
    sqlx::query(RECORD_DEAD_LETTERS)
        .bind(i32::from(partition.number()))
        .bind(letters.iter().map(|letter| to_bigint(letter.seq)).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.time.0).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.team.as_ref().map(TeamId::as_str)).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>())
        .bind(details)
        .bind(letters.iter().map(|letter| letter.payload.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
