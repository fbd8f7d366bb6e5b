//! The appending of a set of events within the writer's transaction: who gets which position, and who has one already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use huddle_domain::{Event, NewEvent, Partition, Partitions, SendKey, Seq, TeamId, UnixMillis};
use huddle_log::{Condition, LogError, PublishError, Published};
use sqlx::{Connection as _, SqliteConnection};

use super::positions::Positions;
use crate::store;

type Outcome = Result<Published, PublishError>;

/// What became of a set of events.
#[derive(Debug)]
pub(super) struct Appended {
    /// One for each event, in their order.
    pub(super) outcomes: Vec<Outcome>,
    /// The new events, in the order in which they stand in the log.
    pub(super) events: Vec<Arc<Event>>,
}

/// What holds for a whole set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) partitions: Partitions,
    pub(super) time: UnixMillis,
    /// Whether the disk has room for new events. Those that are in the log already are told so all the same.
    pub(super) has_room: bool,
}

/// Appends `events` within the open transaction. An error means that the transaction as a whole is lost.
pub(super) async fn append(
    transaction: &mut SqliteConnection,
    terms: Terms,
    positions: &mut Positions,
    events: &[(NewEvent, Condition)],
) -> Result<Appended, sqlx::Error> {
    let known = Known::look_up(transaction, events).await?;
    let mut tried = positions.clone();
    let mut savepoint = transaction.begin().await?;
    let mut draft = Draft { terms, positions: &mut tried, known };
    let appended = draft.judge(events);
    match insert(&mut savepoint, terms.partitions, &appended.events).await {
        Ok(()) => {
            savepoint.commit().await?;
            *positions = tried;
            Ok(appended)
        }
        Err(error) if store::is_refusal(&error) => {
            savepoint.rollback().await?;
            one_by_one(transaction, terms, positions, events).await
        }
        Err(error) => Err(error),
    }
}

/// Finds those whom the file refuses for their content; the others are appended. Never on the usual way.
async fn one_by_one(
    transaction: &mut SqliteConnection,
    terms: Terms,
    positions: &mut Positions,
    events: &[(NewEvent, Condition)],
) -> Result<Appended, sqlx::Error> {
    let mut all = Appended { outcomes: Vec::with_capacity(events.len()), events: Vec::new() };
    for event in events {
        let one = std::slice::from_ref(event);
        let known = Known::look_up(transaction, one).await?;
        let mut tried = positions.clone();
        let mut savepoint = transaction.begin().await?;
        let appended = Draft { terms, positions: &mut tried, known }.judge(one);
        match insert(&mut savepoint, terms.partitions, &appended.events).await {
            Ok(()) => {
                savepoint.commit().await?;
                *positions = tried;
                all.outcomes.extend(appended.outcomes);
                all.events.extend(appended.events);
            }
            Err(error) if store::is_refusal(&error) => {
                savepoint.rollback().await?;
                all.outcomes.push(Err(PublishError::Refused { reason: "the file refuses the content".to_owned() }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn insert(
    savepoint: &mut SqliteConnection,
    partitions: Partitions,
    events: &[Arc<Event>],
) -> Result<(), sqlx::Error> {
    let mut by_partition: HashMap<Partition, Vec<&Event>> = HashMap::new();
    for event in events {
        by_partition.entry(partitions.of(&event.team)).or_default().push(event);
    }
    for (partition, events) in by_partition {
        store::insert(savepoint, partition, &events).await?;
    }
    Ok(())
}

/// What the file knows of keys and teams, and what the set has added to that so far.
#[derive(Debug)]
struct Known {
    sends: HashMap<SendKey, Event>,
    last_seqs: HashMap<TeamId, Seq>,
}

impl Known {
    async fn look_up(
        transaction: &mut SqliteConnection,
        events: &[(NewEvent, Condition)],
    ) -> Result<Self, sqlx::Error> {
        let keys: HashSet<SendKey> = events.iter().map(|(event, _)| event.key()).collect();
        let teams: HashSet<&TeamId> = events.iter().map(|(event, _)| &event.team).collect();
        let keys: Vec<&SendKey> = keys.iter().collect();
        let mut sends = HashMap::new();
        for row in store::sends_by_key(&mut *transaction, &keys).await? {
            let event = row.into_event(Seq::ZERO).map_err(|error| sqlx::Error::Decode(error.into()))?;
            sends.insert(event.key(), event);
        }
        Ok(Self { sends, last_seqs: last_seqs(transaction, &teams).await? })
    }
}

async fn last_seqs(
    transaction: &mut SqliteConnection,
    teams: &HashSet<&TeamId>,
) -> Result<HashMap<TeamId, Seq>, sqlx::Error> {
    const LAST_SEQS: &str = "
        SELECT team.value, (SELECT max(seq) FROM events WHERE team_id = team.value) FROM json_each(?) AS team";
    let ids: Vec<&str> = teams.iter().map(|team| team.as_str()).collect();
    let ids = serde_json::to_string(&ids).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let rows: Vec<(String, Option<i64>)> = sqlx::query_as(LAST_SEQS).bind(ids).fetch_all(transaction).await?;
    let rows: HashMap<String, Option<i64>> = rows.into_iter().collect();
    let last_seq = |team: &&TeamId| {
        let seq = rows.get(team.as_str()).copied().flatten()?;
        Some(((*team).clone(), store::from_bigint(seq)))
    };
    Ok(teams.iter().filter_map(last_seq).collect())
}

/// The judgement of a set, event by event in its order.
struct Draft<'a> {
    terms: Terms,
    positions: &'a mut Positions,
    known: Known,
}

impl Draft<'_> {
    fn judge(&mut self, events: &[(NewEvent, Condition)]) -> Appended {
        let mut appended = Appended { outcomes: Vec::with_capacity(events.len()), events: Vec::new() };
        for (event, condition) in events {
            let outcome = self.judge_one(event, *condition, &mut appended.events);
            appended.outcomes.push(outcome);
        }
        appended
    }

    fn judge_one(&mut self, new: &NewEvent, condition: Condition, appended: &mut Vec<Arc<Event>>) -> Outcome {
        if let Some(first) = self.known.sends.get(&new.key()) {
            return if first.is_same_send(new) {
                Ok(Published { seq: first.seq, duplicate: true })
            } else {
                Err(PublishError::Conflict { seq: first.seq })
            };
        }
        let partition = self.terms.partitions.of(&new.team);
        let Some(end) = self.positions.end(partition) else {
            return Err(PublishError::Unavailable { source: LogError::Missing { partition }.into() });
        };
        let prev_seq = self.known.last_seqs.get(&new.team).copied().unwrap_or_default();
        if condition == Condition::FirstOfTeam && !prev_seq.is_zero() {
            return Err(PublishError::NotFirst);
        }
        if !self.terms.has_room {
            return Err(PublishError::Full);
        }
        let seq = end.next();
        self.positions.set(partition, seq);
        let event = new.clone().at(seq, prev_seq, self.terms.time);
        self.known.last_seqs.insert(new.team.clone(), seq);
        self.known.sends.insert(new.key(), event.clone());
        appended.push(Arc::new(event));
        Ok(Published { seq, duplicate: false })
    }
}
