//! What events become within one transaction: stored, or dead letters.

use std::collections::HashSet;

use huddle_domain::{Event, Partition};
use huddle_store::{
    DeadLetterReason,
    backend::{Insertion, KindColumns, Tally, concerns_directory, ends_of_changes},
};
use sqlx::SqliteConnection;

use super::{
    dead_letters::record_dead_letters,
    error::{is_refusal, refusal},
    insert::{Failure, insert_around_conflicts},
    mentions::save_mentions,
    project::{apply_to_directory, changed_above, save_names, write_anew},
    row::parameter_of_events,
};

/// How rows that are there already are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The log appended them, and this is when they become stored.
    Apply,
    /// They have been stored before.
    Import,
}

/// Applies `events` all at once, within a savepoint.
///
/// # Errors
/// After an SQL error that is a refusal, nothing of `events` is left, and the transaction can go on.
pub(super) async fn store_at_once<'a>(
    connection: &mut SqliteConnection,
    partition: Partition,
    mode: Mode,
    events: Vec<&'a Event>,
    tally: &mut Tally<'a>,
) -> Result<(), Failure> {
    sqlx::query("SAVEPOINT huddle_run").execute(&mut *connection).await?;
    match store_events(connection, partition, mode, &events).await {
        Ok(insertions) => {
            sqlx::query("RELEASE huddle_run").execute(&mut *connection).await?;
            for (event, insertion) in events.into_iter().zip(insertions) {
                tally.add(event, insertion);
            }
            Ok(())
        }
        Err(Failure::Sql(error)) if is_refusal(&error) => {
            sqlx::query("ROLLBACK TO huddle_run").execute(&mut *connection).await?;
            sqlx::query("RELEASE huddle_run").execute(&mut *connection).await?;
            Err(Failure::Sql(error))
        }
        Err(failure) => Err(failure),
    }
}

/// Applies the events, and makes dead letters of those that SQLite refuses: halves what is refused until it is a single
/// event. In order, because events build on those before them.
pub(super) async fn store_around_refusals<'a>(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: Vec<&'a Event>,
    tally: &mut Tally<'a>,
) -> Result<(), Failure> {
    let mut waiting = vec![events];
    while let Some(mut events) = waiting.pop() {
        match store_at_once(connection, partition, Mode::Apply, events.clone(), tally).await {
            Err(Failure::Sql(error)) if is_refusal(&error) => {
                if let [event] = events[..] {
                    tally.add_refused(event, DeadLetterReason::Refused, refusal(&error));
                } else {
                    waiting.push(events.split_off(events.len() / 2));
                    waiting.push(events);
                }
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

macro_rules! not_appended {
    ($tags:literal) => {
        concat!(
            "
        SELECT item.key
        FROM jsonb_each(?1) AS item
        WHERE NOT EXISTS (
            SELECT 1
            FROM events
            WHERE events.team_id = item.value ->> 0
              AND events.seq = item.value ->> 1
              AND events.partition = ?2
              AND events.sender_id = item.value ->> 3
              AND events.client_id = item.value ->> 4
              AND events.kind = item.value ->> 5
              AND events.body IS item.value ->> 6
              AND events.member_id IS item.value ->> 7
              AND events.member_role IS item.value ->> 8
              AND events.name IS item.value ->> 9",
            $tags
        )
    };
}

/// Most batches have no tags, and shall not pay for those that do.
const NOT_APPENDED: &str = not_appended!(
    "
              AND events.mentions IS NULL AND events.entity_kind IS NULL AND events.entity_id IS NULL)"
);
const NOT_APPENDED_WITH_TAGS: &str = not_appended!(
    "
              AND events.mentions IS item.value ->> 10
              AND events.entity_kind IS item.value ->> 11
              AND events.entity_id IS item.value ->> 12)"
);

/// Which of `events` stand in the log of `partition` already, with the same content: by their places in the slice,
/// those that do not, ascending.
pub(super) async fn not_appended(
    connection: &mut SqliteConnection,
    partition: Partition,
    events: &[&Event],
) -> Result<Vec<usize>, sqlx::Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let has_tags = events.iter().any(|event| KindColumns::from(&event.kind).has_tags());
    let places: Vec<i64> = sqlx::query_scalar(if has_tags { NOT_APPENDED_WITH_TAGS } else { NOT_APPENDED })
        .bind(parameter_of_events(events))
        .bind(partition.number())
        .fetch_all(connection)
        .await?;
    Ok(places.into_iter().filter_map(|place| usize::try_from(place).ok()).collect())
}

/// Whether nothing but the position has to move for `events`, which all stand in the log.
pub(super) fn means_nothing_further(events: &[&Event]) -> bool {
    !events.iter().any(|event| concerns_directory(&event.kind))
}

/// Makes rows of those of `events` that are none yet, and applies those that are new to teams and members. Says of
/// each what became of it.
async fn store_events(
    connection: &mut SqliteConnection,
    partition: Partition,
    mode: Mode,
    events: &[&Event],
) -> Result<Vec<Insertion>, Failure> {
    let insertions = match mode {
        Mode::Import => insert_around_conflicts(connection, partition, events).await?,
        Mode::Apply => {
            let places = not_appended(connection, partition, events).await?;
            let missing: Vec<&Event> = places.iter().map(|place| events[*place]).collect();
            let mut insertions = vec![Insertion::Stored; events.len()];
            if !missing.is_empty() {
                let inserted = insert_around_conflicts(connection, partition, &missing).await?;
                for (place, insertion) in places.into_iter().zip(inserted) {
                    insertions[place] = insertion;
                }
            }
            insertions
        }
    };
    let new = events.iter().zip(&insertions).filter(|(_, insertion)| **insertion == Insertion::Stored);
    save_mentions(connection, new.map(|(event, _)| *event)).await?;
    let out_of_order = match mode {
        Mode::Import => changed_above(connection, &ends_of_changes(events, &insertions)).await?,
        // The log goes up, and never back.
        Mode::Apply => HashSet::new(),
    };
    for (event, insertion) in events.iter().zip(&insertions) {
        if *insertion == Insertion::Stored && !out_of_order.contains(event.team.as_str()) {
            apply_to_directory(connection, event).await?;
        }
    }
    for team in &out_of_order {
        write_anew(connection, team).await?;
    }
    Ok(insertions)
}

/// Writes what concerns the batch as a whole.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    partition: Partition,
    tally: &mut Tally<'_>,
) -> Result<(), sqlx::Error> {
    save_names(connection, tally.names()).await?;
    record_dead_letters(connection, partition, tally.dead_letters()).await
}
