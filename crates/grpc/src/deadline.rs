//! Until when a call must be answered: what the caller asks for (`grpc-timeout`), capped.

use std::time::Duration;

use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataMap;

use crate::CallError;

/// The metadata key of the caller's own deadline.
const TIMEOUT_METADATA: &str = "grpc-timeout";
/// Most digits of a timeout, by the gRPC specification.
const TIMEOUT_DIGITS_MAX: usize = 8;
/// The share of a call's time that is kept for the way back: one part in this many.
const MARGIN_SHARE: u32 = 10;
/// The most that is kept for the way back.
const MARGIN_MAX: Duration = Duration::from_millis(250);

/// Until when a call must be answered. The caller's clock started earlier, so work ends a little before.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    waits_end: Instant,
    work_ends: Instant,
    asked: Option<Instant>,
}

impl Deadline {
    /// The deadline in `metadata`, at most `cap` from now; `cap` when there is none or it cannot be read.
    pub fn of(metadata: &MetadataMap, cap: Duration) -> Self {
        let now = Instant::now();
        let asked = metadata.get(TIMEOUT_METADATA).and_then(|value| value.to_str().ok()).and_then(parse);
        let time = asked.map_or(cap, |asked| asked.min(cap));
        let margin = (time / MARGIN_SHARE).min(MARGIN_MAX);
        Self {
            waits_end: now + time - 2 * margin,
            work_ends: now + time - margin,
            asked: asked.and_then(|asked| now.checked_add(asked)),
        }
    }

    /// Until when waiting for something makes sense: after it there is still time to read and to answer.
    pub const fn waits_end(&self) -> Instant {
        self.waits_end
    }

    /// The caller's own deadline, uncapped: where a stream ends.
    pub const fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Runs `work` until it is done or the call must be answered, which is `UNAVAILABLE` then.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn bound<T, E: Into<CallError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, CallError> {
        match timeout_at(self.work_ends, work).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Refusal::new(ErrorCode::Unavailable, "not done within the call's deadline; retry").into()),
        }
    }
}

/// Reads a timeout: up to 8 digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`).
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back().filter(char::is_ascii)?;
    let digits = &text[..text.len() - 1];
    let is_number = (1..=TIMEOUT_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = if is_number { digits.parse().ok()? } else { return None };
    Some(match unit {
        'H' => Duration::from_hours(number.into()),
        'M' => Duration::from_mins(number.into()),
        'S' => Duration::from_secs(number.into()),
        'm' => Duration::from_millis(number.into()),
        'u' => Duration::from_micros(number.into()),
        'n' => Duration::from_nanos(number.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_the_specification_are_read_and_others_ignored() {
        for (text, timeout) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("7u", Some(Duration::from_micros(7))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("+1S", None),
            ("1", None),
            ("1s", None),
            ("1ü", None),
        ] {
            assert_eq!(parse(text), timeout, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_end_before_the_deadline_and_the_cap_holds() {
        let cap = Duration::from_secs(10);
        let of = |timeout: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(TIMEOUT_METADATA, timeout.parse().unwrap());
            Deadline::of(&metadata, cap)
        };
        let now = Instant::now();
        assert_eq!(of("1S").waits_end(), now + Duration::from_millis(800));
        assert_eq!(of("1H").waits_end(), now + Duration::from_millis(9_500));
        assert_eq!(of("1H").asked(), Some(now + Duration::from_hours(1)));
        assert_eq!(Deadline::of(&MetadataMap::new(), cap).asked(), None);
        let outcome = of("100m").bound(std::future::pending::<Result<(), CallError>>()).await;
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::Unavailable);
        assert_eq!(now.elapsed().as_millis(), 90);
    }
}
