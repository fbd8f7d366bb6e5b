//! A batch of the log becomes stored: the position moves, and what it means to teams and members is written.

use huddle_domain::{Event, Partition, Seq};
use huddle_store::{
    Applied, Batch, StoreError,
    backend::{Tally, from_bigint, is_in_order, to_bigint},
};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{
    error::{broken, is_refusal},
    gaps::record_gaps,
    insert::Failure,
    mentions::save_mentions,
    run::{Mode, finish, means_nothing_further, not_appended, store_around_refusals, store_at_once},
};

const CONTEXT: &str = "applying a batch";

/// The batch breaks the contract; the caller is to blame.
#[derive(Debug, thiserror::Error)]
#[error("the batch's positions do not ascend up to its end, or a gap is none")]
struct Disordered;

/// How far `partition` is stored; `None` when nothing ever was.
pub(crate) async fn progress<'c>(
    executor: impl SqliteExecutor<'c>,
    partition: Partition,
) -> Result<Option<Seq>, sqlx::Error> {
    const PROGRESS: &str = "SELECT seq FROM log_progress WHERE partition = ?1";
    let seq = sqlx::query_scalar(PROGRESS).bind(partition.number()).fetch_optional(executor).await?;
    Ok(seq.map(from_bigint))
}

/// Refuses a batch that breaks the contract; nothing has happened then.
pub(crate) fn check_order(batch: &Batch) -> Result<(), StoreError> {
    if is_in_order(batch) { Ok(()) } else { Err(broken(CONTEXT, Disordered)) }
}

/// Applies `batch` to `partition`, which the caller believes to stand at `from`, within the caller's transaction.
///
/// Events that the log has appended are rows already; one that is none becomes one.
///
/// # Errors
/// After any failure the transaction must be rolled back: it may hold a part. [`StoreError::NotOwner`] when the partition
/// does not stand at `from`.
pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    partition: Partition,
    from: Seq,
    batch: &Batch,
) -> Result<Applied, Failure> {
    check_order(batch)?;
    if batch.through <= from {
        return Ok(Applied { through: from, ..Applied::default() });
    }
    if !move_position(connection, partition, from, batch.through).await? {
        return Err(Failure::Store(StoreError::NotOwner));
    }
    let applied_before = batch.items.partition_point(|item| item.seq() <= from);
    let (mut tally, events) = Tally::of(&batch.items[applied_before..], huddle_proto::encode_new_event);
    store(connection, partition, events, &mut tally).await?;
    finish(connection, partition, &mut tally).await?;
    record_gaps(connection, partition, &batch.gaps).await?;
    Ok(Applied { through: batch.through, stored: tally.stored(), dead_letters: tally.conflicts() })
}

async fn store<'a>(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: Vec<&'a Event>,
    tally: &mut Tally<'a>,
) -> Result<(), Failure> {
    // The way of nearly all batches: messages that the log appended. One statement, unless they mention someone.
    if means_nothing_further(&events) && not_appended(connection, partition, &events).await?.is_empty() {
        save_mentions(connection, events.iter().copied()).await?;
        for event in events {
            tally.add_stored(event);
        }
        return Ok(());
    }
    match store_at_once(connection, partition, Mode::Apply, events.clone(), tally).await {
        Err(Failure::Sql(error)) if is_refusal(&error) => {
            store_around_refusals(connection, partition, events, tally).await
        }
        outcome => outcome,
    }
}

/// Moves the partition's position in the transaction of the rows. Returns `false` when it does not stand at `from`; one
/// that has no position stands at 0.
async fn move_position(
    connection: &mut SqliteConnection,
    partition: Partition,
    from: Seq,
    to: Seq,
) -> Result<bool, sqlx::Error> {
    const MOVE_POSITION: &str = "
        INSERT INTO log_progress (partition, seq)
        SELECT ?1, ?3
        WHERE ?2 = coalesce((SELECT seq FROM log_progress WHERE partition = ?1), 0)
        ON CONFLICT (partition) DO UPDATE SET seq = excluded.seq";
    let moved = sqlx::query(MOVE_POSITION)
        .bind(partition.number())
        .bind(to_bigint(from))
        .bind(to_bigint(to))
        .execute(connection)
        .await?;
    Ok(moved.rows_affected() == 1)
}
