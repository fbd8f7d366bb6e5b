//! What a task does within the writer's transaction.

use huddle_domain::{Partition, Seq, limits::SEQ_GAP_OF_NEW_LOG};
use huddle_log::LogError;
use huddle_store::StoreError;
use sqlx::{Connection as _, SqliteConnection};

use super::{
    positions::Positions,
    work::{Reply, Task, Trouble},
};
use crate::store::{self, Failure};

const APPLYING: &str = "applying a batch";
const IMPORTING: &str = "importing events";

/// Gives an answer once it is known whether the transaction was committed.
pub(super) type Answer = Box<dyn FnOnce(Result<(), &Trouble>) + Send>;

/// Runs `task` within the open transaction. What fails by itself leaves nothing behind and is told in its answer; an error
/// means that the transaction as a whole is lost.
pub(super) async fn run(
    transaction: &mut SqliteConnection,
    positions: &mut Positions,
    task: Task,
) -> Result<Answer, sqlx::Error> {
    match task {
        Task::Prepare { partition, highest_stored, reply } => {
            let outcome = prepare(transaction, positions, partition, highest_stored).await?;
            Ok(answer(reply, outcome, |trouble| Err(trouble.log_error("preparing a partition"))))
        }
        Task::Advance { partition, stored, above, reply } => {
            let outcome = advance(transaction, positions, partition, stored, above).await?;
            Ok(answer(reply, outcome, |trouble| Err(trouble.log_error("advancing a partition"))))
        }
        Task::Progress { partition, reply } => {
            let progress = store::progress(&mut *transaction, partition).await?.unwrap_or(Seq::ZERO);
            Ok(answer(reply, Ok(progress), |trouble| Err(trouble.store_error("claiming a partition"))))
        }
        Task::Apply { partition, from, batch, reply } => {
            let mut savepoint = transaction.begin().await?;
            let outcome = store::apply(&mut savepoint, partition, from, &batch).await;
            let outcome = settle(savepoint, outcome, APPLYING).await?;
            if outcome.is_ok() {
                positions.take(partition, batch.through);
            }
            Ok(answer(reply, outcome, |trouble| Err(trouble.store_error(APPLYING))))
        }
        Task::Import { partition, events, reply } => {
            let highest = events.iter().map(|event| event.seq).max().unwrap_or_default();
            let mut savepoint = transaction.begin().await?;
            let outcome = store::import(&mut savepoint, partition, events).await;
            let outcome = settle(savepoint, outcome, IMPORTING).await?;
            if outcome.is_ok() {
                positions.take(partition, highest);
            }
            Ok(answer(reply, outcome, |trouble| Err(trouble.store_error(IMPORTING))))
        }
    }
}

fn answer<T: Send + 'static>(reply: Reply<T>, outcome: T, failed: fn(&Trouble) -> T) -> Answer {
    Box::new(move |committed| {
        let outcome = match committed {
            Ok(()) => outcome,
            Err(trouble) => failed(trouble),
        };
        // Whoever asked may be gone; what was asked for has happened all the same.
        let _ = reply.send(outcome);
    })
}

/// Keeps what a task did, or undoes it. An error when the file or its disk fails: nobody may go on then. When SQLite has
/// already undone the whole transaction, as it does where the disk is full, that shows here, too.
async fn settle<T>(
    savepoint: sqlx::SqliteTransaction<'_>,
    outcome: Result<T, Failure>,
    context: &'static str,
) -> Result<Result<T, StoreError>, sqlx::Error> {
    match outcome {
        Ok(done) => savepoint.commit().await.map(|()| Ok(done)),
        Err(failure) => {
            let told = failure.told(context)?;
            savepoint.rollback().await?;
            Ok(Err(told))
        }
    }
}

async fn prepare(
    transaction: &mut SqliteConnection,
    positions: &mut Positions,
    partition: Partition,
    highest_stored: Seq,
) -> Result<Result<(), LogError>, sqlx::Error> {
    if let Some(end) = positions.end(partition) {
        if end >= highest_stored {
            return Ok(Ok(()));
        }
        return Ok(Err(LogError::Unsuitable {
            problem: format!(
                "partition {partition} of the log ends at {end}, and the store goes up to {highest_stored}"
            ),
            remedy: "restore log and store from the same backup: both are in one file".to_owned(),
        }));
    }
    let floor = Seq::new(highest_stored.get().saturating_add(SEQ_GAP_OF_NEW_LOG));
    set_floor(transaction, partition, floor).await?;
    positions.set(partition, floor);
    Ok(Ok(()))
}

async fn advance(
    transaction: &mut SqliteConnection,
    positions: &mut Positions,
    partition: Partition,
    stored: Seq,
    above: Seq,
) -> Result<Result<Seq, LogError>, sqlx::Error> {
    const IS_AHEAD: &str = "SELECT EXISTS (SELECT 1 FROM events WHERE partition = ? AND seq > ?)";
    let Some(end) = positions.end(partition) else { return Ok(Err(LogError::Missing { partition })) };
    if end >= above {
        return Ok(Ok(end));
    }
    let is_ahead: bool = sqlx::query_scalar(IS_AHEAD)
        .bind(i64::from(partition.number()))
        .bind(store::to_bigint(stored))
        .fetch_one(&mut *transaction)
        .await?;
    if is_ahead {
        return Ok(Err(LogError::Unsuitable {
            problem: format!("partition {partition} of the log holds events that are not stored yet"),
            remedy: "start `huddle up` once: it stores them within seconds".to_owned(),
        }));
    }
    set_floor(transaction, partition, above).await?;
    positions.set(partition, above);
    Ok(Ok(above))
}

async fn set_floor(transaction: &mut SqliteConnection, partition: Partition, floor: Seq) -> Result<(), sqlx::Error> {
    const SET_FLOOR: &str = "
        INSERT INTO log_partitions (partition, floor_seq) VALUES (?, ?)
        ON CONFLICT (partition) DO UPDATE SET floor_seq = excluded.floor_seq";
    let query = sqlx::query(SET_FLOOR).bind(i64::from(partition.number())).bind(store::to_bigint(floor));
    query.execute(transaction).await.map(drop)
}
