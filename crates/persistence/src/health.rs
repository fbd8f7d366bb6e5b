//! Whether this process does its part: what each partition's task last had to say, as one component of the readiness.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use huddle_domain::{Partition, Partitions};
use huddle_service::health::{ComponentState, Readiness};

/// The component's name.
const COMPONENT: &str = "persistence";

/// The states of all partitions. Ready when each is owned here, or waits beside an owner with the log in reach.
#[derive(Debug)]
pub(crate) struct Health {
    component: ComponentState,
    /// Why a partition is not taken care of, by partition. Locked for an update only.
    problems: Mutex<BTreeMap<Partition, String>>,
}

impl Health {
    /// All partitions are starting.
    pub(crate) fn new(readiness: &Readiness, partitions: Partitions) -> Arc<Self> {
        let problems = partitions.iter().map(|partition| (partition, "starting".to_owned())).collect();
        Arc::new(Self { component: readiness.component(COMPONENT), problems: Mutex::new(problems) })
    }

    /// The partition is taken care of, here or elsewhere.
    pub(crate) fn is_well(&self, partition: Partition) {
        self.update(|problems| problems.remove(&partition));
    }

    /// The partition is not known to be taken care of.
    pub(crate) fn has_problem(&self, partition: Partition, problem: String) {
        self.update(|problems| problems.insert(partition, problem));
    }

    fn update<T>(&self, change: impl FnOnce(&mut BTreeMap<Partition, String>) -> T) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut problems);
        match problems.first_key_value() {
            None => self.component.set_ready(),
            Some((partition, problem)) => {
                let others = problems.len() - 1;
                let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
                self.component.set_not_ready(format!("partition {partition}: {problem}{others}"));
            }
        }
    }
}
