//! What was missing from the log is kept on record, for an operator to look at.

use huddle_domain::Partition;
use huddle_store::{LogGap, backend::to_bigint};
use sqlx::SqliteConnection;

/// Records `gaps`. One that is on record already stays as it is.
pub(super) async fn record_gaps(
    connection: &mut SqliteConnection,
    partition: Partition,
    gaps: &[LogGap],
) -> Result<(), sqlx::Error> {
    const RECORD_GAP: &str = "
        INSERT INTO log_gaps (partition, after_seq, before_seq, found_at_ms)
        VALUES (?1, ?2, ?3, unixepoch() * 1000)
        ON CONFLICT DO NOTHING";
    for gap in gaps {
        sqlx::query(RECORD_GAP)
            .bind(partition.number())
            .bind(to_bigint(gap.after))
            .bind(to_bigint(gap.before))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
