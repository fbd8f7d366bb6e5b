//! The one writer of a partition, over the connection that holds the partition's lock.

use async_trait::async_trait;
use huddle_domain::{Event, Partition, Seq};
use huddle_store::{
    Applied, Batch, BatchItem, Imported, LogGap, PartitionWriter, StoreError,
    backend::{is_in_order, to_bigint},
};
use sqlx::{Acquire as _, PgConnection, PgTransaction};

use super::{claim::read_progress, gaps::record_gaps, run::Run};
use crate::{
    connect::Connector,
    error::{broken, is_refusal, store_error},
};

/// A batch may take as long as this many statements that just do not time out.
const BATCH_STATEMENTS: u32 = 3;

const CONTEXT: &str = "applying a batch";

/// The batch breaks the contract; the caller is to blame.
#[derive(Debug, thiserror::Error)]
#[error("the batch's positions do not ascend up to its end, or a gap is none")]
struct Disordered;

/// What is left to apply of a batch.
#[derive(Debug, Clone, Copy)]
struct Stretch<'a> {
    items: &'a [BatchItem],
    gaps: &'a [LogGap],
    through: Seq,
}

#[derive(Debug)]
pub(super) struct Writer {
    connector: Connector,
    connection: PgConnection,
    partition: Partition,
    position: Seq,
    /// Set while the outcome of an exchange is not known: the claim is not to be trusted from then on.
    in_doubt: bool,
}

impl Writer {
    pub(super) fn new(connector: Connector, connection: PgConnection, partition: Partition, position: Seq) -> Self {
        Self { connector, connection, partition, position, in_doubt: false }
    }

    /// Tries the batch as a whole, which is the way of nearly all; where Postgres refuses some content, the batch is
    /// done again in a way that finds the items to blame.
    async fn apply_run(&mut self, run: Stretch<'_>) -> Result<Applied, StoreError> {
        match self.transact(run, false).await {
            Err(Failure::Sql(error)) if is_refusal(&error) => self.transact(run, true).await,
            outcome => outcome,
        }
        .map_err(|failure| match failure {
            Failure::Sql(error) => store_error(CONTEXT, error),
            Failure::Store(error) => error,
        })
    }

    async fn transact(&mut self, run: Stretch<'_>, refusals: bool) -> Result<Applied, Failure> {
        let Stretch { items, gaps, through } = run;
        let mut transaction = self.connection.begin().await?;
        if !move_position(&mut transaction, self.partition, self.position, through).await? {
            return Err(Failure::Store(StoreError::NotOwner));
        }
        let mut run = Run::new(self.partition, items);
        if refusals {
            run.apply_around_refusals(&mut transaction).await?;
        } else {
            run.apply(&mut transaction).await?;
        }
        let (stored, dead_letters) = run.finish(&mut transaction).await?;
        record_gaps(&mut transaction, self.partition, gaps).await?;
        transaction.commit().await?;
        Ok(Applied { through, stored, dead_letters })
    }
}

/// Stores `events` in one transaction, or nothing of them when another event is in the way of one.
async fn import(connection: &mut PgConnection, partition: Partition, events: Vec<Event>) -> Result<Imported, Failure> {
    let offered = events.len();
    let items: Vec<BatchItem> = events.into_iter().map(BatchItem::Event).collect();
    let mut transaction = connection.begin().await?;
    let mut run = Run::new(partition, &items);
    run.import(&mut transaction).await?;
    let conflicts = run.conflicts();
    if !conflicts.is_empty() {
        transaction.rollback().await?;
        return Ok(Imported { conflicts, ..Imported::default() });
    }
    let (stored, _) = run.finish(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Imported { stored, present: offered - stored, conflicts })
}

/// What ends a transaction.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[async_trait]
impl PartitionWriter for Writer {
    fn progress(&self) -> Seq {
        self.position
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, StoreError> {
        if self.in_doubt {
            return Err(StoreError::NotOwner);
        }
        if !is_in_order(&batch) {
            return Err(broken(CONTEXT, Disordered));
        }
        if batch.through <= self.position {
            return Ok(Applied { through: self.position, ..Applied::default() });
        }
        let applied_before = batch.items.partition_point(|item| item.seq() <= self.position);
        // Stays set when this future is dropped half-way.
        self.in_doubt = true;
        let connector = self.connector.clone();
        let run = Stretch { items: &batch.items[applied_before..], gaps: &batch.gaps, through: batch.through };
        let apply = self.apply_run(run);
        let applied = connector.bounded(BATCH_STATEMENTS, CONTEXT, apply).await?;
        self.position = applied.through;
        self.in_doubt = false;
        Ok(applied)
    }

    async fn import(&mut self, events: Vec<Event>) -> Result<Imported, StoreError> {
        const CONTEXT: &str = "importing events";
        if self.in_doubt {
            return Err(StoreError::NotOwner);
        }
        // Stays set when this future is dropped half-way.
        self.in_doubt = true;
        let (connector, partition) = (self.connector.clone(), self.partition);
        let import = async {
            import(&mut self.connection, partition, events).await.map_err(|failure| match failure {
                Failure::Sql(error) => store_error(CONTEXT, error),
                Failure::Store(error) => error,
            })
        };
        let imported = connector.bounded(BATCH_STATEMENTS, CONTEXT, import).await?;
        self.in_doubt = false;
        Ok(imported)
    }

    async fn confirm(&mut self) -> Result<(), StoreError> {
        const CONTEXT: &str = "confirming a claim";
        if self.in_doubt {
            return Err(StoreError::NotOwner);
        }
        self.in_doubt = true;
        // The lock lives as long as the session, so an answer over this connection is what confirms the claim.
        let (connector, partition) = (self.connector.clone(), self.partition);
        let read =
            async { read_progress(&mut self.connection, partition).await.map_err(|error| store_error(CONTEXT, error)) };
        let position = connector.bounded(1, CONTEXT, read).await?;
        if position != Some(self.position) {
            return Err(StoreError::NotOwner);
        }
        self.in_doubt = false;
        Ok(())
    }
}

/// Moves the partition's position in the transaction that inserts the rows. Returns `false` when it is not where this
/// writer left it.
async fn move_position(
    transaction: &mut PgTransaction<'_>,
    partition: Partition,
    from: Seq,
    to: Seq,
) -> Result<bool, sqlx::Error> {
    const MOVE_POSITION: &str = "
        UPDATE log_progress SET seq = $3, updated_at = clock_timestamp() WHERE partition = $1 AND seq = $2";
    let moved = sqlx::query(MOVE_POSITION)
        .bind(i32::from(partition.number()))
        .bind(to_bigint(from))
        .bind(to_bigint(to))
        .execute(&mut **transaction)
        .await?;
    Ok(moved.rows_affected() == 1)
}
