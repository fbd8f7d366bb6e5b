//! What persistence measures.

use std::time::Duration;

use huddle_domain::Partition;
use huddle_service::metrics::Metrics;
use huddle_store::DeadLetterReason;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};

/// The metrics of one persistence service. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct PersistenceMetrics {
    owned: Family<PartitionLabel, Gauge>,
    dead_letters: Family<ReasonLabel, Counter>,
    gap_held: Family<PartitionLabel, Gauge>,
    pub(crate) batches: Counter,
    pub(crate) events_stored: Counter,
    pub(crate) gaps: Counter,
    pub(crate) gaps_filled: Counter,
    pub(crate) replays: Counter,
    pub(crate) terms_failed: Counter,
    pub(crate) announcements_failed: Counter,
    apply_seconds: Histogram,
    entry_age_seconds: Histogram,
}

/// Partitions are a closed set: as many as the log was created with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    // A name of the closed set of reasons.
    reason: &'static str,
}

impl PersistenceMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let registered = Self {
            owned: Family::default(),
            dead_letters: Family::default(),
            gap_held: Family::default(),
            batches: Counter::default(),
            events_stored: Counter::default(),
            gaps: Counter::default(),
            gaps_filled: Counter::default(),
            replays: Counter::default(),
            terms_failed: Counter::default(),
            announcements_failed: Counter::default(),
            // 0.5 ms to 16 s.
            apply_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            // 1 ms to 1.2 days.
            entry_age_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 14)),
        };
        let Self {
            owned,
            dead_letters,
            gap_held,
            batches,
            events_stored,
            gaps,
            gaps_filled,
            replays,
            terms_failed,
            announcements_failed,
            apply_seconds,
            entry_age_seconds,
        } = registered.clone();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("persistence");
            registry.register("owned", "Whether this process owns the partition: 0 or 1", owned);
            registry.register("dead_letters", "Entries that could not be applied, by reason", dead_letters);
            registry.register("batches", "Batches committed", batches);
            registry.register("events_stored", "Events committed", events_stored);
            registry.register(
                "gap_held",
                "Whether the partition stands before positions that are missing from the log, and looks for them: 0 or 1",
                gap_held,
            );
            registry.register("gaps", "Stretches of positions missing from the log that were passed over", gaps);
            registry.register("gaps_filled", "Stretches of positions that were missing at first", gaps_filled);
            registry.register(
                "replays",
                "Partitions found stored less far than before: the store went back, and the log is stored again",
                replays,
            );
            registry.register("terms_failed", "Ownerships or claims that ended in an error", terms_failed);
            registry.register("announcements_failed", "Stored watermarks not announced", announcements_failed);
            registry.register("apply_seconds", "Time to commit a batch", apply_seconds);
            registry.register(
                "entry_age_seconds",
                "Age of a batch's oldest entry when it was committed: how far the store lags behind the log",
                entry_age_seconds,
            );
        });
        registered
    }

    pub(crate) fn set_owned(&self, partition: Partition, owned: bool) {
        let label = PartitionLabel { partition: partition.number() };
        self.owned.get_or_create(&label).set(i64::from(owned));
    }

    pub(crate) fn set_gap_held(&self, partition: Partition, held: bool) {
        let label = PartitionLabel { partition: partition.number() };
        self.gap_held.get_or_create(&label).set(i64::from(held));
    }

    pub(crate) fn count_dead_letter(&self, reason: DeadLetterReason) {
        self.dead_letters.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    pub(crate) fn observe_apply(&self, time: Duration) {
        self.apply_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn observe_age(&self, age: Duration) {
        self.entry_age_seconds.observe(age.as_secs_f64());
    }
}
