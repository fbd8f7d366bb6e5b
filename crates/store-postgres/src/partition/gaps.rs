//! What was missing from the log is kept on record, for an operator to look at.

use huddle_domain::Partition;
use huddle_store::{LogGap, backend::to_bigint};
use sqlx::PgConnection;

/// Records `gaps`. One that is on record already stays as it is.
pub(super) async fn record_gaps(
    connection: &mut PgConnection,
    partition: Partition,
    gaps: &[LogGap],
) -> Result<(), sqlx::Error> {
    const RECORD_GAPS: &str = "
        INSERT INTO log_gaps (partition, after_seq, before_seq)
        SELECT $1, * FROM unnest($2::bigint[], $3::bigint[])
        ON CONFLICT DO NOTHING";
    if gaps.is_empty() {
        return Ok(());
    }
    sqlx::query(RECORD_GAPS)
        .bind(i32::from(partition.number()))
        .bind(gaps.iter().map(|gap| to_bigint(gap.after)).collect::<Vec<_>>())
        .bind(gaps.iter().map(|gap| to_bigint(gap.before)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
