//! Waiting times of reconnect loops: exponential, with full jitter, bounded. It never sleeps and never retries itself.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Exponents beyond this add nothing: the cap is reached long before.
const EXPONENT_MAX: u32 = 31;

/// A sequence of waiting times. The wait before attempt `n` is drawn evenly from zero to `base * 2^n`, never above
/// `cap`, so that many clients that lost the same server do not come back at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// `base` bounds the first wait, `cap` every wait.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// Draws the next wait and counts the attempt.
    pub fn next_delay(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        let nanoseconds = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.random_range(0..=nanoseconds))
    }

    /// Attempts since the start or the last [`reset`](Self::reset).
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Starts again from `base`. Call it after a success.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }

    fn ceiling(&self) -> Duration {
        let factor = 1_u32 << self.attempt.min(EXPONENT_MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const CAP: Duration = Duration::from_secs(5);

    #[test]
    fn waits_grow_and_never_exceed_the_cap() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(BASE, CAP);
        for attempt in 0..100_u32 {
            let ceiling = BASE.saturating_mul(1 << attempt.min(20)).min(CAP);
            let delay = backoff.next_delay(&mut rng);
            assert!(delay <= ceiling, "attempt {attempt}: {delay:?} > {ceiling:?}");
        }
        assert_eq!(backoff.attempts(), 100);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(CAP, CAP);
        let delays: Vec<Duration> = (0..200).map(|_| backoff.next_delay(&mut rng)).collect();
        assert!(delays.iter().any(|delay| *delay < CAP / 10));
        assert!(delays.iter().any(|delay| *delay > CAP / 10 * 9));
    }

    #[test]
    fn a_success_starts_again_from_the_base() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(BASE, CAP);
        for _ in 0..50 {
            backoff.next_delay(&mut rng);
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut rng) <= BASE);
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            backoff.next_delay(&mut rng);
        }
        assert_eq!(Backoff::new(Duration::ZERO, Duration::ZERO).next_delay(&mut rng), Duration::ZERO);
    }
}
