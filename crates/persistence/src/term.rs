//! One term of ownership: from a claim to its end.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use huddle_domain::{Partition, Seq};
use huddle_log::{Log, LogError, StoredMark};
use huddle_service::lifecycle::Shutdown;
use huddle_store::{Applied, LogGap, PartitionStore, PartitionWriter, StoreError};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use crate::{
    Config,
    announce::{announce, keep_announcing},
    batch::{GatherError, Gathered, Gatherer, Next},
    gap::{Found, GAP_WAIT_MAX, Patience},
    health::Health,
    metrics::PersistenceMetrics,
    seen::Seen,
};

/// How often an owner without work makes sure of its claim. A store may end the claim of one that says nothing for
/// 3 s.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// What a term of one partition works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Office<'a> {
    pub(crate) partition: Partition,
    pub(crate) config: &'a Config,
    pub(crate) log: &'a dyn Log,
    pub(crate) store: &'a dyn PartitionStore,
    pub(crate) metrics: &'a PersistenceMetrics,
    pub(crate) health: &'a Health,
    pub(crate) seen: &'a Seen,
    pub(crate) shutdown: &'a Shutdown,
}

/// How a term ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did not begin: another owner has the partition.
    OwnedElsewhere,
    /// The process shuts down.
    ShutDown,
}

/// Why a term ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TermError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Gather(#[from] GatherError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl TermError {
    /// Whether it passes without an operator's help.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Log(error) | Self::Gather(GatherError::Log(error)) => error.is_retryable(),
            Self::Gather(GatherError::Ended) => true,
        }
    }
}

/// Claims the partition and carries the log into the store until something ends it. The claim is free when this returns.
pub(crate) async fn serve(office: Office<'_>) -> Result<Ended, TermError> {
    let shutdown = office.shutdown.soft();
    let claim = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Ended::ShutDown),
        claim = office.store.claim(office.partition) => claim?,
    };
    let Some(mut writer) = claim else { return Ok(Ended::OwnedElsewhere) };
    let committed = watch::Sender::new(writer.progress());
    tracing::info!(partition = %office.partition, position = %writer.progress(), "partition claimed");
    if let Some(before) = office.seen.went_back(office.partition, writer.progress()) {
        office.metrics.replays.inc();
        tracing::error!(
            partition = %office.partition,
            position = %writer.progress(),
            %before,
            "the store went back (a restored backup, a standby that was promoted): what the log has is stored again"
        );
    }
    office.metrics.set_owned(office.partition, true);
    let outcome = tokio::select! {
        outcome = own(office, &mut *writer, &committed) => outcome,
        never = keep_announcing(office.log, office.partition, committed.subscribe(), office.metrics) => match never {},
    };
    office.metrics.set_owned(office.partition, false);
    tracing::info!(partition = %office.partition, position = %writer.progress(), "partition released");
    outcome.map(|()| Ended::ShutDown)
}

/// Works until the shutdown, or until something fails.
async fn own(
    office: Office<'_>,
    writer: &mut dyn PartitionWriter,
    committed: &watch::Sender<Seq>,
) -> Result<(), TermError> {
    let Office { partition, log, .. } = office;
    let position = writer.progress();
    let mut heartbeat = interval(CONFIRM_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let Some(prepared) = meanwhile(office, writer, &mut heartbeat, log.prepare(partition, position)).await? else {
        return Ok(());
    };
    prepared?;
    let Some(reader) = meanwhile(office, writer, &mut heartbeat, log.read(partition, position)).await? else {
        return Ok(());
    };
    let mut gatherer = Gatherer::new(reader?, office.config.clone(), position);
    let mut patience = Patience::new();
    office.health.is_well(partition);
    while let Some(next) = meanwhile(office, writer, &mut heartbeat, gatherer.next()).await? {
        match next? {
            Next::Batch(batch) => {
                let through = apply(office, writer, batch).await?;
                office.seen.stored(partition, through);
                committed.send_replace(through);
                heartbeat.reset();
            }
            Next::Gap(gap) => {
                let alarm = HeldGap::raise(office, gap);
                let search = patience.search(log, partition, gap);
                let Some(found) = meanwhile(office, writer, &mut heartbeat, search).await? else { break };
                alarm.settle(&mut gatherer, found)?;
            }
        }
    }
    announce(log, StoredMark { partition, seq: writer.progress() }, office.metrics).await;
    Ok(())
}

/// The alarm about a gap that persistence stands before. Off once this is dropped.
struct HeldGap<'a> {
    office: Office<'a>,
    gap: LogGap,
}

impl<'a> HeldGap<'a> {
    fn raise(office: Office<'a>, gap: LogGap) -> Self {
        let partition = office.partition;
        tracing::error!(
            %partition,
            missing = %gap,
            "positions are missing from the log: nothing beyond them is stored while they are looked for, for {GAP_WAIT_MAX:?}"
        );
        office.metrics.set_gap_held(partition, true);
        office
            .health
            .has_problem(partition, format!("the positions {gap} are missing from the log, and are looked for"));
        Self { office, gap }
    }

    /// Goes on with what was found, or without.
    fn settle(self, gatherer: &mut Gatherer, found: Found) -> Result<(), LogError> {
        let partition = self.office.partition;
        match found {
            Found::Entries(reader) => {
                tracing::warn!(%partition, missing = %self.gap, "what was missing from the log was found");
                self.office.metrics.gaps_filled.inc();
                gatherer.read_from(reader);
            }
            Found::Nothing => gatherer.go_past(self.gap),
            Found::Gone(error) => return Err(error),
        }
        self.office.health.is_well(partition);
        Ok(())
    }
}

impl Drop for HeldGap<'_> {
    fn drop(&mut self) {
        self.office.metrics.set_gap_held(self.office.partition, false);
    }
}

/// Waits for `work` and keeps the claim alive meanwhile. Returns `None` when the shutdown begins first.
async fn meanwhile<T>(
    office: Office<'_>,
    writer: &mut dyn PartitionWriter,
    heartbeat: &mut Interval,
    work: impl Future<Output = T>,
) -> Result<Option<T>, StoreError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = office.shutdown.soft().cancelled() => return Ok(None),
            _ = heartbeat.tick() => writer.confirm().await?,
            outcome = &mut work => return Ok(Some(outcome)),
        }
    }
}

/// Commits a batch, and says what became of it. Returns how far the partition is committed.
async fn apply(office: Office<'_>, writer: &mut dyn PartitionWriter, gathered: Gathered) -> Result<Seq, StoreError> {
    let Office { partition, metrics, .. } = office;
    let age = gathered.age(SystemTime::now());
    let started = Instant::now();
    let gaps = gathered.batch.gaps.clone();
    let Applied { through, stored, dead_letters } = writer.apply(gathered.batch).await?;
    metrics.observe_apply(started.elapsed());
    metrics.observe_age(age + started.elapsed());
    metrics.batches.inc();
    metrics.events_stored.inc_by(u64::try_from(stored).unwrap_or(u64::MAX));
    for gap in gaps {
        metrics.gaps.inc();
        tracing::error!(%partition, missing = %gap, "positions are missing from the log: put on record, and passed over");
    }
    for (seq, reason) in dead_letters {
        metrics.count_dead_letter(reason);
        tracing::warn!(%partition, %seq, reason = reason.as_str(), "entry put aside as a dead letter");
    }
    tracing::debug!(%partition, position = %through, stored, "batch committed");
    Ok(through)
}
