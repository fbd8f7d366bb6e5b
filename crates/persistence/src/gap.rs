//! What becomes of a stretch of positions that is missing from the log: it is looked for, for a while.
//!
//! A log never forgets in its middle, so the stretch may still be there: on another server of a log whose copies differ (a
//! damaged block, a leader that has not caught up). Each look is a reader of its own, which may land on another copy.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use huddle_domain::{Partition, Seq};
use huddle_log::{Log, LogError, Reader};
use huddle_store::LogGap;
use tokio::time::{Instant, sleep, timeout};

/// How long persistence stands before a gap and looks for what is missing. Nothing of the partition is stored meanwhile.
pub(crate) const GAP_WAIT_MAX: Duration = Duration::from_secs(10);

/// Gaps that are met within this time after the end of another wait share what was left of it: a copy with many holes
/// is waited for once.
const RESPITE: Duration = Duration::from_mins(1);

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long gaps may still be waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    /// The end of the last wait.
    ended: Option<Instant>,
}

/// What a search has found.
pub(crate) enum Found {
    /// Entries of the gap: reading goes on with this.
    Entries(Reader),
    /// Nothing.
    Nothing,
    /// The log is not what it was when this term began.
    Gone(LogError),
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { left: GAP_WAIT_MAX, ended: None }
    }

    /// Looks for what is missing in `gap` until all of it is found, or the patience is at its end and a look was
    /// answered: as long as the log cannot be read at all, nothing is given up. A log that is gone, or not fit any more, is
    /// for the next term to prepare.
    ///
    /// # Cancel safety
    /// Safe; what was waited counts only when this returns.
    pub(crate) async fn search(&mut self, log: &dyn Log, partition: Partition, gap: LogGap) -> Found {
        let began = Instant::now();
        let since_last = self.ended.map(|ended| began - ended);
        if since_last.is_none_or(|since| since >= RESPITE) {
            self.left = GAP_WAIT_MAX;
        } else if self.left.is_zero() && since_last.is_some_and(|since| since < LOOK_INTERVAL) {
            return Found::Nothing;
        }
        let found = loop {
            let look = match look(log, partition, gap.after).await {
                Ok(look) => look,
                Err(error) => break Found::Gone(error),
            };
            let is_over = began.elapsed() >= self.left;
            match look {
                Some((first, reader)) if first == gap.after.next() => break Found::Entries(reader),
                Some((first, reader)) if is_over && first < gap.before => break Found::Entries(reader),
                Some(_) if is_over => break Found::Nothing,
                Some(_) | None => sleep(LOOK_INTERVAL).await,
            }
        };
        let ended = Instant::now();
        self.left = self.left.saturating_sub(ended - began);
        self.ended = Some(ended);
        found
    }
}

/// Reads `partition` anew from `after`: the first position that is there, and the reader from that one on. Fails when
/// another look would be in vain.
async fn look(log: &dyn Log, partition: Partition, after: Seq) -> Result<Option<(Seq, Reader)>, LogError> {
    let first = async {
        let mut reader = log.read(partition, after).await?;
        let Some(first) = reader.next().await.transpose()? else { return Ok(None) };
        let seq = first.seq;
        Ok(Some((seq, stream::iter([Ok(first)]).chain(reader).boxed())))
    };
    match timeout(LOOK_TIMEOUT, first).await {
        Ok(Err(error @ (LogError::Missing { .. } | LogError::Unsuitable { .. }))) => Err(error),
        Ok(Err(error)) => {
            tracing::debug!(%partition, %error, "the log cannot be read anew");
            Ok(None)
        }
        Ok(Ok(look)) => Ok(look),
        Err(_elapsed) => Ok(None),
    }
}
