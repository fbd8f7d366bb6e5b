//! Events that have a history elsewhere become rows under the positions that they bring.

use huddle_domain::{Event, Partition};
use huddle_store::{Imported, backend::Tally};
use sqlx::SqliteConnection;

use super::{
    insert::Failure,
    run::{Mode, finish, store_at_once},
};

/// Stores `events` within the caller's transaction, or nothing of them when another event is in the way of one: the
/// transaction is then as it was.
///
/// # Errors
/// After any failure the transaction must be rolled back: it may hold a part.
pub(crate) async fn import(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: Vec<Event>,
) -> Result<Imported, Failure> {
    if events.is_empty() {
        return Ok(Imported::default());
    }
    let mut tally = Tally::new(huddle_proto::encode_new_event);
    sqlx::query("SAVEPOINT huddle_import").execute(&mut *connection).await?;
    store_at_once(connection, partition, Mode::Import, events.iter().collect(), &mut tally).await?;
    let conflicts = tally.conflicts();
    if conflicts.is_empty() {
        finish(connection, partition, &mut tally).await?;
    } else {
        sqlx::query("ROLLBACK TO huddle_import").execute(&mut *connection).await?;
    }
    sqlx::query("RELEASE huddle_import").execute(&mut *connection).await?;
    let stored = if conflicts.is_empty() { tally.stored() } else { 0 };
    let present = if conflicts.is_empty() { events.len() - stored } else { 0 };
    Ok(Imported { stored, present, conflicts })
}
