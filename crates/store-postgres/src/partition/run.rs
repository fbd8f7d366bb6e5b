//! What a batch's items become within one transaction: rows, or dead letters.

use huddle_domain::{Event, Partition, Seq};
use huddle_store::{
    BatchItem, DeadLetterReason,
    backend::{Insertion, Tally, ends_of_changes},
};
use sqlx::{Acquire as _, PgTransaction};

use super::{
    dead_letters::record_dead_letters,
    insert::insert_events,
    project::{apply_to_directory, changed_above, save_names, write_anew},
    writer::Failure,
};
use crate::error::{is_refusal, refusal};

/// The application of one batch.
#[derive(Debug)]
pub(super) struct Run<'a> {
    partition: Partition,
    events: Vec<&'a Event>,
    tally: Tally<'a>,
}

impl<'a> Run<'a> {
    pub(super) fn new(partition: Partition, items: &'a [BatchItem]) -> Self {
        let (tally, events) = Tally::of(items, huddle_proto::encode_new_event);
        Self { partition, events, tally }
    }

    /// Applies all events at once.
    pub(super) async fn apply(&mut self, transaction: &mut PgTransaction<'_>) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.events);
        let insertions = store_events(transaction, &events).await?;
        self.take_note(events, insertions);
        Ok(())
    }

    /// Applies all events at once, which may stand below others that are stored already.
    pub(super) async fn import(&mut self, transaction: &mut PgTransaction<'_>) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.events);
        let insertions = insert_events(transaction, &events).await?;
        let out_of_order = changed_above(transaction, &ends_of_changes(&events, &insertions)).await?;
        let is_in_order = |event: &Event| !out_of_order.contains(event.team.as_str());
        apply_new(transaction, &events, &insertions, is_in_order).await?;
        for team in &out_of_order {
            write_anew(transaction, team).await?;
        }
        self.take_note(events, insertions);
        Ok(())
    }

    /// Applies the events, and makes dead letters of those that Postgres refuses: halves what is refused until it is a
    /// single event. In order, because events build on those before them.
    pub(super) async fn apply_around_refusals(&mut self, transaction: &mut PgTransaction<'_>) -> Result<(), Failure> {
        let mut waiting = vec![std::mem::take(&mut self.events)];
        while let Some(mut events) = waiting.pop() {
            let mut savepoint = transaction.begin().await?;
            match store_events(&mut savepoint, &events).await {
                Ok(insertions) => {
                    savepoint.commit().await?;
                    self.take_note(events, insertions);
                }
                Err(Failure::Sql(error)) if is_refusal(&error) => {
                    savepoint.rollback().await?;
                    if let [event] = events[..] {
                        self.tally.add_refused(event, DeadLetterReason::Refused, refusal(&error));
                    } else {
                        waiting.push(events.split_off(events.len() / 2));
                        waiting.push(events);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// What became no row so far, ascending.
    pub(super) fn conflicts(&mut self) -> Vec<(Seq, DeadLetterReason)> {
        self.tally.conflicts()
    }

    /// Writes what concerns the batch as a whole. Returns how many events were stored, and what became a dead letter.
    pub(super) async fn finish(
        mut self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<(usize, Vec<(Seq, DeadLetterReason)>), Failure> {
        save_names(transaction, self.tally.names()).await?;
        record_dead_letters(transaction, self.partition, self.tally.dead_letters()).await?;
        Ok((self.tally.stored(), self.tally.conflicts()))
    }

    fn take_note(&mut self, events: Vec<&'a Event>, insertions: Vec<Insertion>) {
        for (event, insertion) in events.into_iter().zip(insertions) {
            self.tally.add(event, insertion);
        }
    }
}

/// Inserts `events`, and applies those that are new to teams and members. Says of each what became of it.
async fn store_events(transaction: &mut PgTransaction<'_>, events: &[&Event]) -> Result<Vec<Insertion>, Failure> {
    let insertions = insert_events(transaction, events).await?;
    apply_new(transaction, events, &insertions, |_| true).await?;
    Ok(insertions)
}

/// Applies those of `events` that are new rows, and that `wanted` says yes to, to teams and members.
async fn apply_new(
    transaction: &mut PgTransaction<'_>,
    events: &[&Event],
    insertions: &[Insertion],
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), sqlx::Error> {
    for (event, insertion) in events.iter().zip(insertions) {
        if *insertion == Insertion::Stored && wanted(event) {
            apply_to_directory(transaction, event).await?;
        }
    }
    Ok(())
}
