//! Owns the figures that a row asks for: how long nothing was acknowledged, and when everybody was back.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::tape::{Acceptance, Tape};

/// The share of sends that a bound of latency speaks of.
const PERCENTILE: usize = 99;
/// So many times as slow as before, whoever has nothing to do with a fault may get meanwhile.
const UNAFFECTED_FACTOR: u32 = 2;
/// Below this, latencies of debug builds that share two processors with everything else tell nothing.
pub const UNAFFECTED_FLOOR: Duration = Duration::from_millis(500);
/// Without any acknowledgement for so long, in microseconds, a run stands still.
const STANDSTILL_US: u64 = 1_000_000;

/// What a fault did, from its mark to the moment of measuring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// The rows that were under way.
    pub rows: Vec<String>,
    /// The longest time without an acknowledgement to anybody, in milliseconds.
    #[serde(rename = "gap_ms", serialize_with = "millis")]
    pub gap: Duration,
    /// The same of the clients that were at each gateway (or at what else they talk to) when the fault began.
    pub gateways: BTreeMap<String, GatewayGap>,
    /// From the fault's mark until all clients were connected and had caught up for good, and acknowledgements came again
    /// after the last second without any; `None` when that has not come about.
    #[serde(rename = "back_after_ms", serialize_with = "optional_millis")]
    pub back_after: Option<Duration>,
    /// The same from the mark that it was healed; zero when they were back before that.
    #[serde(rename = "back_after_healing_ms", serialize_with = "optional_millis")]
    pub back_after_healing: Option<Duration>,
    /// How long 99 % of the sends took from the first attempt to the first receipt, before the fault.
    #[serde(rename = "p99_before_ms", serialize_with = "millis")]
    pub p99_before: Duration,
    /// The same since then.
    #[serde(rename = "p99_since_ms", serialize_with = "millis")]
    pub p99_since: Duration,
    /// The same since then, by team.
    #[serde(rename = "p99_since_by_team_ms", serialize_with = "millis_by_name")]
    pub p99_since_by_team: BTreeMap<String, Duration>,
    /// How long 99 % of the messages that reached a client had taken from the first attempt, since then: live, or in a
    /// catch-up when they were sent after the client had lost its connection.
    #[serde(rename = "delivery_p99_since_ms", serialize_with = "millis")]
    pub delivery_p99_since: Duration,
    /// First receipts since then.
    pub accepted_since: usize,
}

/// What a fault did to the clients of one gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GatewayGap {
    /// How many clients that send there were.
    pub clients: usize,
    /// The longest time without an acknowledgement to any of them.
    #[serde(rename = "gap_ms", serialize_with = "millis")]
    pub gap: Duration,
    /// The longest time that one of them was without.
    #[serde(rename = "worst_client_gap_ms", serialize_with = "millis")]
    pub worst_client_gap: Duration,
    /// How long 99 % of their sends took from the first attempt to the first receipt, before the fault.
    #[serde(rename = "p99_before_ms", serialize_with = "millis")]
    pub p99_before: Duration,
    /// The same since then.
    #[serde(rename = "p99_since_ms", serialize_with = "millis")]
    pub p99_since: Duration,
}

impl Measured {
    /// What happened since the fault that began at `from_us`, as it looks at `now_us`.
    pub(super) fn of(tape: &Tape, from_us: u64, now_us: u64) -> Self {
        let homes = tape.homes_at(from_us);
        let mut by_client: HashMap<usize, Vec<u64>> = HashMap::new();
        for accepted in tape.accepted() {
            by_client.entry(accepted.client).or_default().push(accepted.at_us);
        }
        let mut by_gateway: BTreeMap<String, (GatewayGap, Vec<u64>)> = BTreeMap::new();
        for (client, times) in &by_client {
            let Some(home) = homes.get(client) else { continue };
            let (gateway, together) = by_gateway.entry((*home).to_owned()).or_default();
            gateway.clients += 1;
            gateway.worst_client_gap = gateway.worst_client_gap.max(longest_gap(times, from_us, now_us));
            together.extend(times);
        }
        let gateways = by_gateway.into_iter().map(|(name, (mut gateway, mut times))| {
            times.sort_unstable();
            gateway.gap = longest_gap(&times, from_us, now_us);
            (name, gateway)
        });
        let mut gateways: BTreeMap<String, GatewayGap> = gateways.collect();

        let times: Vec<u64> = tape.accepted().iter().map(|accepted| accepted.at_us).collect();
        let (before, since) = tape.accepted().split_at(times.partition_point(|at_us| *at_us < from_us));
        for (name, gateway) in &mut gateways {
            let of_gateway =
                |accepted: &&Acceptance| homes.get(&accepted.client).is_some_and(|home| *home == name.as_str());
            let took = |accepted: &[Acceptance]| {
                p99(accepted.iter().filter(of_gateway).map(|accepted| accepted.latency_us).collect())
            };
            (gateway.p99_before, gateway.p99_since) = (took(before), took(since));
        }
        let mut by_team: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for accepted in since {
            by_team.entry(tape.teams()[accepted.team].clone()).or_default().push(accepted.latency_us);
        }
        let faults = || tape.faults().iter().filter(|fault| fault.from_us >= from_us);
        let healed_us = faults().filter_map(|fault| fault.until_us).max();
        let flowing_us = flowing_since(&times, from_us, now_us);
        let back_us = back_since(tape).and_then(|back_us| Some(back_us.max(flowing_us?)));
        let after = |mark: u64| back_us.map(|back_us| Duration::from_micros(back_us.saturating_sub(mark)));
        let delivered = tape.delivered().iter().filter(|(at_us, _)| *at_us >= from_us).map(|(_, took_us)| *took_us);
        Self {
            rows: faults().map(|fault| fault.row.clone()).collect(),
            gap: longest_gap(&times, from_us, now_us),
            gateways,
            back_after: after(from_us),
            back_after_healing: healed_us.and_then(after),
            p99_before: p99(latencies(before)),
            p99_since: p99(latencies(since)),
            p99_since_by_team: by_team.into_iter().map(|(team, took)| (team, p99(took))).collect(),
            delivery_p99_since: p99(delivered.collect()),
            accepted_since: since.len(),
        }
    }

    /// Checks that the clients of every gateway but those `touched` were served as before: 99 % of their sends took at most
    /// twice as long as before the fault, or [`UNAFFECTED_FLOOR`], whichever is longer.
    ///
    /// # Errors
    /// When a gateway's clients were slower, or when no gateway is left to look at.
    pub fn ensure_unaffected_but(&self, touched: &[&str]) -> Result<()> {
        let mut others = self.gateways.iter().filter(|(name, _)| !touched.contains(&name.as_str())).peekable();
        ensure!(others.peek().is_some(), "every gateway was touched");
        for (name, gateway) in others {
            let bound = (UNAFFECTED_FACTOR * gateway.p99_before).max(UNAFFECTED_FLOOR);
            ensure!(
                gateway.p99_since <= bound,
                "{name} had nothing to do with it, and 99 % of its clients' sends took {:?}, {:?} before",
                gateway.p99_since,
                gateway.p99_before
            );
        }
        Ok(())
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing acknowledged for {}", seconds(self.gap))?;
        for (name, gateway) in &self.gateways {
            let (gap, worst) = (seconds(gateway.gap), seconds(gateway.worst_client_gap));
            write!(f, "; {} clients of {name}: all for {gap}, one for {worst}", gateway.clients)?;
        }
        match self.back_after {
            Some(back) => write!(f, "; all back after {}", seconds(back))?,
            None => f.write_str("; not all are back")?,
        }
        let (before, since) = (self.p99_before.as_millis(), self.p99_since.as_millis());
        write!(f, "; p99 of receipts {before} ms before, {since} ms since")
    }
}

/// Since when all clients have been whole; `None` while they are not.
fn back_since(tape: &Tape) -> Option<u64> {
    tape.whole().last().filter(|(_, whole)| *whole).map(|(at_us, _)| *at_us)
}

/// When the last stretch of a second or more without any of `times` was over, or zero when there is none since `from_us`;
/// `None` while one goes on.
fn flowing_since(times: &[u64], from_us: u64, now_us: u64) -> Option<u64> {
    let first_since = times.partition_point(|at_us| *at_us < from_us);
    let mut last = first_since.checked_sub(1).map_or(from_us, |before| times[before]);
    let mut flowing = 0;
    for at_us in times[first_since..].iter().copied() {
        if at_us - last >= STANDSTILL_US {
            flowing = at_us;
        }
        last = at_us;
    }
    (now_us.saturating_sub(last) < STANDSTILL_US).then_some(flowing)
}

/// The longest time within `from_us..now_us` without any of `times`, which ascend. A stretch that began before counts from
/// its beginning.
fn longest_gap(times: &[u64], from_us: u64, now_us: u64) -> Duration {
    let first_since = times.partition_point(|at_us| *at_us < from_us);
    let mut last = first_since.checked_sub(1).map_or(from_us, |before| times[before]);
    let mut longest = 0;
    for at_us in times[first_since..].iter().copied().chain([now_us]) {
        longest = longest.max(at_us.saturating_sub(last));
        last = at_us;
    }
    Duration::from_micros(longest)
}

fn latencies(accepted: &[Acceptance]) -> Vec<u64> {
    accepted.iter().map(|accepted| accepted.latency_us).collect()
}

fn p99(mut micros: Vec<u64>) -> Duration {
    micros.sort_unstable();
    let place = (micros.len() * PERCENTILE).div_ceil(100).saturating_sub(1);
    micros.get(place).copied().map(Duration::from_micros).unwrap_or_default()
}

/// For people.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(as_millis(*duration))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn optional_millis<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(as_millis).serialize(serializer)
}

fn millis_by_name<S: serde::Serializer>(
    durations: &BTreeMap<String, Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(durations.iter().map(|(name, duration)| (name, as_millis(*duration))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(gap: u64) -> Duration {
        Duration::from_micros(gap)
    }

    #[test]
    fn the_longest_gap_reaches_back_to_the_last_receipt_and_forward_to_now() {
        assert_eq!(longest_gap(&[10, 20, 30], 15, 35), micros(10));
        assert_eq!(longest_gap(&[10, 20, 60, 70], 15, 72), micros(40));
        assert_eq!(longest_gap(&[10, 20], 22, 100), micros(80));
        assert_eq!(longest_gap(&[], 50, 90), micros(40));
    }

    #[test]
    fn after_a_standstill_it_flows_again_with_the_next_receipt() {
        let second = STANDSTILL_US;
        let times = [second, 2 * second - 1, 5 * second, 5 * second + 1];
        assert_eq!(flowing_since(&times, second, 5 * second + 2), Some(5 * second));
        assert_eq!(flowing_since(&times[2..], 5 * second, 5 * second + 2), Some(0), "nothing stood still");
        assert_eq!(flowing_since(&times, second, 7 * second), None, "it stands still now");
    }

    #[test]
    fn a_gateway_that_was_not_touched_may_not_get_twice_as_slow() {
        let gateway = |before_ms, since_ms| GatewayGap {
            p99_before: Duration::from_millis(before_ms),
            p99_since: Duration::from_millis(since_ms),
            ..GatewayGap::default()
        };
        let measured = |other: GatewayGap| Measured {
            gateways: [("a".to_owned(), gateway(1, 9_000)), ("b".to_owned(), other)].into(),
            ..Measured::default()
        };
        assert!(measured(gateway(400, 800)).ensure_unaffected_but(&["a"]).is_ok());
        assert!(measured(gateway(400, 801)).ensure_unaffected_but(&["a"]).is_err());
        assert!(measured(gateway(1, 500)).ensure_unaffected_but(&["a"]).is_ok(), "below the floor");
        assert!(measured(gateway(1, 1)).ensure_unaffected_but(&["a", "b"]).is_err(), "nothing to look at");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!(p99((1..=100).collect()), micros(99));
        assert_eq!(p99(vec![5]), micros(5));
        assert_eq!(p99(vec![]), micros(0));
    }
}
