//! This machine's clock against those of the backends.

use std::time::Duration;

use super::{Nats, Postgres, log, store};
use crate::commands::doctor::{
    check::Outcome,
    finding::{Finding, Id, Severity},
};

/// Clocks that differ by more than this are worth a warning, ...
const OFF_WARNING: Duration = Duration::from_secs(1);
/// ... and by more than this they are a problem: tokens are judged with a leeway of a minute at most.
const OFF_PROBLEM: Duration = Duration::from_secs(30);

/// One look at another clock, all in milliseconds since 1970: it was read between `asked` and `answered`.
#[derive(Debug, Clone, Copy)]
struct Look {
    asked: i64,
    answered: i64,
    theirs: i64,
}

impl Look {
    /// How far the other clock is ahead of this one at least, in milliseconds: the way there and back is in its favour.
    /// Negative when it is behind.
    fn ahead(self) -> i64 {
        if self.theirs > self.answered { self.theirs - self.answered } else { (self.theirs - self.asked).min(0) }
    }

    fn severity(self) -> Severity {
        let off = Duration::from_millis(self.ahead().unsigned_abs());
        if off > OFF_PROBLEM {
            Severity::Problem
        } else if off > OFF_WARNING {
            Severity::Warning
        } else {
            Severity::Ok
        }
    }
}

pub(super) async fn nats(nats: &Nats) -> Outcome {
    let clock = match log::inspection(nats).await {
        Ok(inspection) => inspection.clock,
        Err(outcome) => return outcome,
    };
    match clock {
        Some(clock) => {
            let look = Look { asked: clock.asked_at.0, answered: clock.answered_at.0, theirs: clock.server_time.0 };
            judged(Id::ClockNats, "NATS", look)
        }
        None => Outcome::Skipped("there is no partition yet that could tell the time".to_owned()),
    }
}

pub(super) async fn postgres(postgres: &Postgres) -> Outcome {
    match store::inspection(postgres).await {
        Ok(inspection) => {
            let clock = inspection.clock;
            let look = Look { asked: clock.asked_at.0, answered: clock.answered_at.0, theirs: clock.server_time.0 };
            judged(Id::ClockPostgres, "Postgres", look)
        }
        Err(outcome) => outcome,
    }
}

fn judged(id: Id, whose: &str, look: Look) -> Outcome {
    let ahead = look.ahead();
    let seconds = Duration::from_millis(ahead.unsigned_abs()).as_secs_f64();
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let found = format!("the clock of {whose} is {seconds:.1} s {direction} this machine's");
    let remedy = "set both clocks by NTP (`timedatectl`, chrony)";
    match look.severity() {
        Severity::Ok if ahead == 0 => Outcome::ok(id, format!("that of {whose} agrees with this machine's")),
        Severity::Ok => Outcome::ok(id, found),
        Severity::Warning => Finding::warning(Id::ClockOff, found, remedy).about(whose).into(),
        Severity::Problem => Finding::problem(Id::ClockOff, found, remedy).about(whose).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_what_the_way_there_and_back_cannot_explain() {
        let look = |asked, answered, theirs| Look { asked, answered, theirs };
        for (look, ahead, severity) in [
            (look(1_000, 1_010, 1_005), 0, Severity::Ok),
            (look(1_000, 9_000, 5_000), 0, Severity::Ok),
            (look(1_000, 1_010, 1_900), 890, Severity::Ok),
            (look(10_000, 10_010, 8_500), -1_500, Severity::Warning),
            (look(10_000, 10_010, 12_010), 2_000, Severity::Warning),
            (look(100_000, 100_010, 10_000), -90_000, Severity::Problem),
            (look(0, 10, 31_010), 31_000, Severity::Problem),
        ] {
            assert_eq!((look.ahead(), look.severity()), (ahead, severity), "{look:?}");
        }
    }
}
