//! Making room: the log and the store's position go above everything that will come.

use std::collections::BTreeMap;

use huddle_domain::{Partition, Seq};
use huddle_log::{Log, LogError};
use huddle_store::Batch;

use super::{Claims, ImportError, Target};
use crate::TeamPlan;

/// The least distance by which a log is moved. What is published between two looks at it is less: so a log that has
/// been moved is told from one that got there by itself, with events that are not stored.
const MOVE_MIN: u64 = 1_000;

/// Moves every partition that gets something above its highest position. Returns whether a partition of the log does not
/// exist yet: whoever makes it then starts above what is stored.
pub(super) async fn prepare(target: &Target<'_>, claims: &mut Claims, plan: &[TeamPlan]) -> Result<bool, ImportError> {
    let partitions = target.log.partitions();
    let mut highest: BTreeMap<Partition, Seq> = BTreeMap::new();
    for team in plan {
        let seq = highest.entry(partitions.of(&team.team)).or_default();
        *seq = team.last_seq.max(*seq);
    }
    let mut is_missing = false;
    for (partition, above) in highest {
        let stored = claims.with_writer(partition, async |writer| Ok(writer.progress())).await?;
        if stored >= above {
            continue;
        }
        let through = match claims.meanwhile(advance(target.log, partition, stored, above)).await? {
            Err(ImportError::Log(LogError::Missing { .. })) => {
                is_missing = true;
                above
            }
            advanced => advanced?,
        };
        // Nothing stands in the log between the two positions: readers of the store may go there.
        let batch = Batch { through, ..Batch::default() };
        claims.with_writer(partition, async |writer| writer.apply(batch).await).await?;
        tracing::debug!(%partition, %stored, %above, %through, "made room for an import");
    }
    Ok(is_missing)
}

/// Moves the log, and makes sure that it holds nothing that is not stored.
async fn advance(log: &dyn Log, partition: Partition, stored: Seq, above: Seq) -> Result<Seq, ImportError> {
    // Changes nothing: says where the log is.
    let last = log.advance(partition, stored, stored).await?;
    let to = above.max(Seq::new(last.get().saturating_add(MOVE_MIN)));
    // Refused when there is something beyond what is stored.
    let advanced = log.advance(partition, stored, to).await?;
    if advanced == to { Ok(advanced) } else { Err(ImportError::Busy { partition }) }
}
