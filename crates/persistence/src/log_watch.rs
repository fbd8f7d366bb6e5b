//! Whether the log is in reach, asked once for all partitions that wait beside another owner.

use std::{sync::Arc, time::Duration};

use huddle_log::Log;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// How long a failure is.
const BAD_FOR: Duration = Duration::from_secs(1);

/// How long the log may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The last look at the log.
#[derive(Debug)]
pub(crate) struct LogWatch {
    log: Arc<dyn Log>,
    // Held while the log is asked: whoever comes meanwhile shares the answer.
    last: Mutex<Option<Look>>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    problem: Option<String>,
}

impl LogWatch {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, last: Mutex::default() }
    }

    /// What keeps the log from being used, as of some seconds ago; `None` when nothing does.
    pub(crate) async fn problem(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some(look) = &*last {
            let good_for = if look.problem.is_none() { GOOD_FOR } else { BAD_FOR };
            if look.at.elapsed() < good_for {
                return look.problem.clone();
            }
        }
        let problem = match timeout(CHECK_TIMEOUT, self.log.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the log did not answer within {CHECK_TIMEOUT:?}")),
        };
        *last = Some(Look { at: Instant::now(), problem: problem.clone() });
        problem
    }
}
