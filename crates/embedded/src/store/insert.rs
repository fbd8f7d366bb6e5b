//! The insertion of events, all at once, and the rows that are in the way of some.

use huddle_domain::{Event, Partition, SendKey};
use huddle_store::{
    StoreError,
    backend::{Insertion, NewRows, judge},
};
use sqlx::SqliteConnection;

use super::{
    error::store_error,
    row::{columns, parameter_of_events},
    sends::{events_at, sends_by_key},
};
use crate::error::is_ruin;

/// Inserts `events` in their order, all of them: a conflict is an error, and then none is inserted.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: &[&Event],
) -> Result<(), sqlx::Error> {
    const INSERT_EVENTS: &str = "
        INSERT INTO events
            (team_id, seq, partition, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
             entity_kind, entity_id)
        SELECT value ->> 0, value ->> 1, ?2, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
               value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
        FROM jsonb_each(?1)";
    sqlx::query(INSERT_EVENTS)
        .bind(parameter_of_events(events))
        .bind(partition.number())
        .execute(connection)
        .await
        .map(drop)
}

/// Inserts what neither position nor key is in the way of, and says of each event what became of it.
pub(super) async fn insert_around_conflicts(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: &[&Event],
) -> Result<Vec<Insertion>, Failure> {
    // In the order given: of two events under one key, the first is the one that happened.
    const INSERT_EVENTS: &str = "
        INSERT INTO events
            (team_id, seq, partition, time_ms, sender_id, client_id, kind, body, member_id, member_role, name, mentions,
             entity_kind, entity_id)
        SELECT value ->> 0, value ->> 1, ?2, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
               value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
        FROM jsonb_each(?1)
        WHERE true
        ON CONFLICT DO NOTHING
        RETURNING team_id, seq";
    let inserted: Vec<(String, i64)> = sqlx::query_as(INSERT_EVENTS)
        .bind(parameter_of_events(events))
        .bind(partition.number())
        .fetch_all(&mut *connection)
        .await?;
    let new: NewRows = inserted.into_iter().collect();
    let left: Vec<&Event> = events.iter().copied().filter(|event| !new.contains(event)).collect();
    let (mut at_positions, mut under_keys) = (Vec::new(), Vec::new());
    if !left.is_empty() {
        at_positions = columns(events_at(&mut *connection, &left).await?);
        let keys: Vec<SendKey> = left.iter().map(|event| event.key()).collect();
        under_keys = columns(sends_by_key(connection, &keys.iter().collect::<Vec<_>>()).await?);
    }
    Ok(judge(events, &new, at_positions, under_keys)?)
}

/// What ends a transaction.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl Failure {
    /// What to tell the caller; the error itself when the file or its disk fails, and nobody may go on.
    pub(crate) fn told(self, context: &'static str) -> Result<StoreError, sqlx::Error> {
        match self {
            Self::Sql(error) if is_ruin(&error) => Err(error),
            Self::Sql(error) => Ok(store_error(context, error)),
            Self::Store(error) => Ok(error),
        }
    }
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
