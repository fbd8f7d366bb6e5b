//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt as _;

use crate::Reconnect;

/// Bounds the first wait.
const BASE: Duration = Duration::from_millis(200);
/// Bounds every wait.
const CAP: Duration = Duration::from_secs(5);
/// The shortest wait that is drawn: an attempt costs the gateway something.
const FLOOR: Duration = Duration::from_millis(20);
/// Exponents beyond this add nothing: the cap is reached before.
const EXPONENT_MAX: u32 = 10;

/// Waits that grow with each attempt, drawn evenly (full jitter) so that many clients that lost the same gateway do not
/// come back at the same moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The wait before the next attempt; `None` when there is to be none. "At once" is granted once in a row.
    pub(crate) fn wait(&mut self, reconnect: Reconnect) -> Option<Duration> {
        let attempt = self.attempts;
        self.attempts = self.attempts.saturating_add(1);
        match reconnect {
            Reconnect::Never => None,
            Reconnect::AtOnce if attempt == 0 => Some(Duration::ZERO),
            Reconnect::AtOnce | Reconnect::AfterWait => {
                let ceiling = (BASE * (1 << attempt.min(EXPONENT_MAX))).min(CAP);
                Some(rand::rng().random_range(FLOOR..=ceiling))
            }
        }
    }

    /// Starts again from the shortest wait. Call it after progress, not after a mere connection.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_is_granted_once_and_then_waits_grow_to_the_cap() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(Reconnect::AtOnce), Some(Duration::ZERO));
        for _ in 0..100 {
            let wait = backoff.wait(Reconnect::AtOnce).unwrap();
            assert!((FLOOR..=CAP).contains(&wait), "{wait:?}");
        }
        backoff.reset();
        assert_eq!(backoff.wait(Reconnect::AtOnce), Some(Duration::ZERO));
        assert_eq!(backoff.wait(Reconnect::Never), None);
    }
}
