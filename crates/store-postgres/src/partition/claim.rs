//! Claiming a partition: an advisory lock of the session that will write.

use huddle_domain::{Partition, Seq};
use huddle_store::{PartitionWriter, StoreError, backend::from_bigint};
use sqlx::PgConnection;

use super::{
    holder::{Holder, look_at_holder},
    writer::Writer,
};
use crate::{PostgresStore, error::store_error};

/// The first half of the key of every partition's lock ("hudl"); the second is the partition's number.
pub(crate) const LOCK_CLASS: i32 = 0x6875_646c;

/// How many statements a claim takes.
const CLAIM_STATEMENTS: u32 = 4;

/// Claims `partition` for a connection of its own; `None` when another session has it and is alive.
pub(crate) async fn claim(
    store: &PostgresStore,
    partition: Partition,
) -> Result<Option<Box<dyn PartitionWriter>>, StoreError> {
    const CONTEXT: &str = "claiming a partition";
    // Asked first, over a shared connection: while there is an owner, a replica that waits costs one cheap query.
    match store.connector.read(CONTEXT, look_at_holder(&store.pool, partition)).await? {
        Holder::Alive => return Ok(None),
        Holder::Ended => tracing::warn!(%partition, "ended the session of an owner that had fallen silent"),
        Holder::Nobody => {}
    }
    let mut connection = store.connector.connect(&format!("huddle partition {partition}"), CONTEXT).await?;
    let lock = async {
        let position = lock_and_read(&mut connection, partition).await;
        position.map_err(|error| store_error(CONTEXT, error))
    };
    let position = store.connector.bounded(CLAIM_STATEMENTS, CONTEXT, lock).await?;
    Ok(position.map(|position| {
        let writer = Writer::new(store.connector.clone(), connection, partition, position);
        Box::new(writer) as Box<dyn PartitionWriter>
    }))
}

/// How far `partition` is committed.
pub(crate) async fn progress(store: &PostgresStore, partition: Partition) -> Result<Seq, StoreError> {
    let seq = read_progress(&store.pool, partition);
    Ok(store.connector.read("reading the progress", seq).await?.unwrap_or(Seq::ZERO))
}

/// Takes the lock and returns where the partition stands, or `None` when another session has the lock.
async fn lock_and_read(connection: &mut PgConnection, partition: Partition) -> Result<Option<Seq>, sqlx::Error> {
    if !try_lock(connection, partition).await? {
        return Ok(None);
    }
    commit_durably(connection).await?;
    ensure_progress(connection, partition).await?;
    Ok(read_progress(connection, partition).await?.or(Some(Seq::ZERO)))
}

async fn try_lock(connection: &mut PgConnection, partition: Partition) -> Result<bool, sqlx::Error> {
    const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1, $2)";
    sqlx::query_scalar(TRY_LOCK).bind(LOCK_CLASS).bind(i32::from(partition.number())).fetch_one(connection).await
}

/// What is announced as stored must survive a power cut; only stricter settings than `on` are the server's choice.
async fn commit_durably(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const COMMIT_DURABLY: &str = "
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
    sqlx::query(COMMIT_DURABLY).execute(connection).await.map(drop)
}

/// Makes sure that there is a row to move.
async fn ensure_progress(connection: &mut PgConnection, partition: Partition) -> Result<(), sqlx::Error> {
    const ENSURE_PROGRESS: &str = "INSERT INTO log_progress (partition, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING";
    sqlx::query(ENSURE_PROGRESS).bind(i32::from(partition.number())).execute(connection).await.map(drop)
}

/// How far `partition` is committed; `None` when it never had an owner.
pub(super) async fn read_progress<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    partition: Partition,
) -> Result<Option<Seq>, sqlx::Error> {
    const READ_PROGRESS: &str = "SELECT seq FROM log_progress WHERE partition = $1";
    let seq = sqlx::query_scalar(READ_PROGRESS).bind(i32::from(partition.number())).fetch_optional(executor).await?;
    Ok(seq.map(from_bigint))
}
