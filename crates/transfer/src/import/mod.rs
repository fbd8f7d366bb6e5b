//! Bringing events that have positions of their own into a log and a store.
//!
//! First every partition is claimed, so that nobody else writes. Then the log is moved above the highest position that
//! will come, and the store's position with it. Then each team's events are stored, chunk by chunk; what is there already
//! is left as it is, so that an import that was interrupted is continued by doing it again. At the end every team is read
//! back and compared.

mod claims;
mod prepare;
mod store;
mod verify;

use huddle_domain::{Partition, Seq, TeamId};
use huddle_log::{Log, LogError};
use huddle_store::{EventStore, PartitionStore, StoreError};

use self::claims::Claims;
use crate::{Item, Progress, Source, SourceError, Step, TeamPlan, TeamSummary};

/// Where to import to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The log, which goes on above what is imported.
    pub log: &'a dyn Log,
    /// The writing side of the store.
    pub partitions: &'a dyn PartitionStore,
    /// The reading side of the same store.
    pub events: &'a dyn EventStore,
}

/// What was imported, and read back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Teams.
    pub teams: u64,
    /// Their events.
    pub events: u64,
    /// How many of the events were stored now.
    pub stored: u64,
    /// How many had been stored before.
    pub present: u64,
    /// Whether the log's partitions do not exist yet: they have to be made before anything is sent.
    pub log_is_missing: bool,
}

/// Why an import ended early, or is not what was to be imported. What was stored before stays; importing again goes on
/// there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Another process writes the target.
    #[error(
        "partition {partition} of the target has an owner: stop every `huddle persistence` of the target, and start them \
         again after the import"
    )]
    Claimed {
        /// The partition.
        partition: Partition,
    },
    /// Events come into the target while the log is being moved.
    #[error(
        "partition {partition} of the target's log takes events just now: nothing was stored; stop the gateways and the \
         directory of the target, let persistence store what there is, and import again"
    )]
    Busy {
        /// The partition.
        partition: Partition,
    },
    /// The source fails.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source breaks its own rules.
    #[error("the source breaks its rules for team {team} ({problem}): nothing further was stored")]
    SourceContract {
        /// The team.
        team: TeamId,
        /// What is wrong.
        problem: &'static str,
    },
    /// The log fails.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target has other events of the team.
    #[error(
        "the target has another event of team {team} at {seq}, so the events {first} to {last} were not stored; import \
         into an instance that does not have this team"
    )]
    Conflict {
        /// The team.
        team: TeamId,
        /// Where the target has another event.
        seq: Seq,
        /// The first event of the chunk that was not stored.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// The target has an event's key at another position.
    #[error(
        "the target has the event {seq} of team {team} at another position, so the events {first} to {last} were not \
         stored; import into an instance that does not have this team"
    )]
    KeyConflict {
        /// The team.
        team: TeamId,
        /// The event's position at the source.
        seq: Seq,
        /// The first event of the chunk that was not stored.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// The target refuses an event's content.
    #[error("the target refuses the event {seq} of team {team}, so the events {first} to {last} were not stored")]
    Refused {
        /// The team.
        team: TeamId,
        /// The event's position.
        seq: Seq,
        /// The first event of the chunk that was not stored.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// What was read back is not what the source had.
    #[error(
        "team {team} is not what it was at the source: {events} events up to {last_seq} there, {found} here up to the \
         same position, {digests} digest; import into an instance that does not have this team"
    )]
    Verification {
        /// The team.
        team: TeamId,
        /// Events at the source.
        events: u64,
        /// Where they end.
        last_seq: Seq,
        /// Events in the target up to there.
        found: u64,
        /// How the digests compare.
        digests: &'static str,
    },
}

impl ImportError {
    /// Whether the same import, run again, may get further without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Source(SourceError::Unreadable { .. }) => true,
            Self::Log(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Imports all teams of `source` into `target` and reads them back. Nobody else may write the target meanwhile, which
/// the claims see to; reading it is fine.
///
/// # Cancel safety
/// What is stored stays, chunk by chunk; importing again goes on there.
pub async fn import(
    source: &mut dyn Source,
    target: &Target<'_>,
    progress: &mut dyn Progress,
) -> Result<ImportReport, ImportError> {
    let plan = source.plan().to_vec();
    let events = plan.iter().map(|team| team.events).sum();
    progress.step(Step::Planned { teams: plan.len() as u64, events });
    let mut claims = Claims::claim(target).await?;
    let log_is_missing = prepare::prepare(target, &mut claims, &plan).await?;
    let mut report = ImportReport { log_is_missing, ..ImportReport::default() };
    let summaries = store_all(source, target, &mut claims, &plan, &mut report, progress).await?;
    progress.step(Step::Verifying);
    for summary in &summaries {
        verify::verify(target, &mut claims, summary, progress).await?;
        report.teams += 1;
        report.events += summary.events;
    }
    Ok(report)
}

/// Stores the source's events, and returns what each team is at the source.
async fn store_all(
    source: &mut dyn Source,
    target: &Target<'_>,
    claims: &mut Claims,
    plan: &[TeamPlan],
    report: &mut ImportReport,
    progress: &mut dyn Progress,
) -> Result<Vec<TeamSummary>, ImportError> {
    let mut summaries = Vec::with_capacity(plan.len());
    let mut team: Option<store::Team<'_>> = None;
    while let Some(item) = claims.meanwhile(source.next()).await?? {
        let next = match &item {
            Item::Events { team, .. } => team,
            Item::TeamEnd(summary) => &summary.team,
        };
        let contract = |problem| ImportError::SourceContract { team: next.clone(), problem };
        let planned = plan.get(summaries.len()).filter(|plan| plan.team == *next);
        let planned = planned.ok_or_else(|| contract("something out of the plan's order"))?;
        let current = team.get_or_insert_with(|| store::Team::new(planned));
        match item {
            Item::Events { events, .. } => {
                let imported = current.store(target, claims, events).await?;
                report.stored += imported.stored;
                report.present += imported.present;
                progress.step(Step::Moved { events: imported.stored + imported.present, present: imported.present });
            }
            Item::TeamEnd(summary) => {
                progress.step(Step::TeamMoved(&summary));
                summaries.push(summary);
                team = None;
            }
        }
    }
    match plan.get(summaries.len()) {
        Some(missing) => Err(ImportError::SourceContract { team: missing.team.clone(), problem: "no end" }),
        None => Ok(summaries),
    }
}
