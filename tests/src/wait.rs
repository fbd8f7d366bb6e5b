//! Owns the waiting for conditions.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and returns it.
///
/// # Errors
/// When `look` fails, or there is nothing within `bound`; the error names `what`.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("within {bound:?} it did not come about that {what}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
