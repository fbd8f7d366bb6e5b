//! Owns random faults: which, when and for how long follows from a seed alone, and at most two at once are under way.

use std::{collections::BTreeSet, fmt, time::Duration};

use anyhow::{Context as _, Result};
use huddle_devstack::{Process, Signal};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{
    World,
    wire::{Direction, Link, NatsMessage},
};
use crate::Service;

/// How long a round breaks things.
const ROUND: Duration = Duration::from_secs(50);
/// Nothing is broken before.
const CALM: Duration = Duration::from_secs(4);
/// How long one fault lasts, in milliseconds.
const LASTS_MS: std::ops::Range<u64> = 1_500..12_000;
/// From the beginning of one to that of the next, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 1_500..9_000;
/// Faults that are under way at once.
const AT_ONCE_MAX: usize = 2;
/// How long a process may take that was asked to end.
const END_BOUND: Duration = Duration::from_secs(20);
/// How long clients may take to be back after the last fault; a round in which they take longer fails.
const BACK_BOUND: Duration = Duration::from_mins(1);

/// One in so many messages is lost where some are.
const ONE_IN_LOST: u64 = 3;
/// All nodes of NATS, as wires name them.
const NATS: &str = "nats";
/// Each node of NATS.
const ROUTES: [&str; 3] = ["n1", "n2", "n3"];
/// What slow wires are like.
const SLOW_LATENCY: Duration = Duration::from_millis(200);
const SLOW_JITTER: Duration = Duration::from_millis(100);
const SLOW_BYTES_PER_SECOND: u64 = 64 * 1024;

/// The wires that break.
const WIRES: [(&str, &str); 15] = [
    ("gateway-0", NATS),
    ("gateway-1", NATS),
    ("gateway-0", "history-0"),
    ("gateway-1", "history-0"),
    ("gateway-0", "directory-0"),
    ("persistence-0", NATS),
    ("persistence-1", NATS),
    ("persistence-0", "postgres"),
    ("persistence-1", "postgres"),
    ("history-0", "postgres"),
    ("directory-0", "postgres"),
    ("directory-0", NATS),
    ("n1", NATS),
    ("n2", NATS),
    ("n3", NATS),
];

/// What a fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A gateway.
    Gateway(usize),
    /// A replica of persistence.
    Persistence(usize),
    /// The history service.
    History,
    /// The directory service.
    Directory,
    /// Who leads the log at that moment.
    NatsLeader,
    /// A node of NATS.
    NatsNode(usize),
    /// Postgres.
    Postgres,
    /// All connections between two of the cluster.
    Wires(&'static str, &'static str),
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// SIGKILL; started again when the fault is over.
    Kill,
    /// SIGSTOP; goes on when the fault is over.
    Pause,
    /// SIGTERM; started again when the fault is over.
    Terminate,
    /// Connections are reset, and new ones refused.
    Cut,
    /// Connections stay open, and nothing passes.
    Silence,
    /// 200 ms ± 100, 64 KiB a second.
    Slow,
    /// Nothing passes from the first to the second; connections stay open.
    SilenceForth,
    /// The same from the second to the first.
    SilenceBack,
    /// Every third acknowledgement of the log gets lost on its way to whoever appended.
    LoseAnswers,
    /// Every third event gets lost on its live way.
    LoseEvents,
    /// Who leads the log is asked to let another node lead. Over at once.
    StepDown,
}

/// A fault that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Counts the faults of a round.
    pub number: usize,
    /// When, from the beginning of the round.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What it happens to.
    pub target: Target,
    /// What happens.
    pub harm: Harm,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Gateway(index) => write!(f, "gateway-{index}")?,
            Target::Persistence(index) => write!(f, "persistence-{index}")?,
            Target::History => f.write_str("history-0")?,
            Target::Directory => f.write_str("directory-0")?,
            Target::NatsLeader => f.write_str("nats leader")?,
            Target::NatsNode(index) => write!(f, "nats n{}", index + 1)?,
            Target::Postgres => f.write_str("postgres")?,
            Target::Wires(from, to) => write!(f, "{from}~{to}")?,
        }
        f.write_str(match self.harm {
            Harm::Kill => " killed",
            Harm::Pause => " paused",
            Harm::Terminate => " terminated",
            Harm::Cut => " cut",
            Harm::Silence => " silent",
            Harm::Slow => " slow",
            Harm::SilenceForth => " silent forth",
            Harm::SilenceBack => " silent back",
            Harm::LoseAnswers => " loses acknowledgements",
            Harm::LoseEvents => " loses live events",
            Harm::StepDown => " steps down",
        })
    }
}

impl Planned {
    fn end(&self) -> Duration {
        self.at + self.lasts
    }

    /// Whether it separates a node of NATS from the others.
    fn is_route(&self) -> bool {
        matches!(self.target, Target::Wires(from, NATS) if ROUTES.contains(&from))
    }

    /// What may not be hit by two faults at once: one node of NATS at a time, so that there is a majority.
    fn touches(&self) -> Vec<&'static str> {
        match self.target {
            Target::Gateway(0) => vec!["gateway-0"],
            Target::Gateway(_) => vec!["gateway-1"],
            Target::Persistence(0) => vec!["persistence-0"],
            Target::Persistence(_) => vec!["persistence-1"],
            Target::History => vec!["history-0"],
            Target::Directory => vec!["directory-0"],
            Target::NatsLeader | Target::NatsNode(_) => vec!["nats"],
            Target::Postgres => vec!["postgres"],
            Target::Wires(_, NATS) if self.is_route() => vec!["nats"],
            // The backend stays whole: only this one does not reach it.
            Target::Wires(from, _) => vec![from],
        }
    }
}

/// The faults of a round, by their beginnings. The same for the same seed and round.
pub fn plan(seed: u64, round: u32) -> Vec<Planned> {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(u64::from(round)));
    let mut planned: Vec<Planned> = Vec::new();
    let mut at = CALM;
    while at < ROUND {
        let (target, harm) = draw(&mut rng);
        let lasts = Duration::from_millis(rng.random_range(LASTS_MS));
        let fault = Planned { number: planned.len() + 1, at, lasts, target, harm };
        let under_way: Vec<&Planned> = planned.iter().filter(|other| other.end() > at).collect();
        let touched: BTreeSet<&str> = under_way.iter().flat_map(|other| other.touches()).collect();
        let is_free = fault.touches().iter().all(|name| !touched.contains(name));
        if under_way.len() < AT_ONCE_MAX && is_free {
            planned.push(fault);
            at += Duration::from_millis(rng.random_range(PAUSE_MS));
        } else {
            // Drawn again, a little later.
            at += Duration::from_millis(100);
        }
    }
    planned
}

fn draw(rng: &mut StdRng) -> (Target, Harm) {
    const PROCESS: [Harm; 3] = [Harm::Kill, Harm::Pause, Harm::Terminate];
    const WIRE: [Harm; 5] = [Harm::Cut, Harm::Silence, Harm::Slow, Harm::SilenceForth, Harm::SilenceBack];
    const GATEWAY_NATS: [Harm; 7] = [
        Harm::Cut,
        Harm::Silence,
        Harm::Slow,
        Harm::SilenceForth,
        Harm::SilenceBack,
        Harm::LoseAnswers,
        Harm::LoseEvents,
    ];
    const LEADER: [Harm; 4] = [Harm::Kill, Harm::Pause, Harm::Terminate, Harm::StepDown];
    let index = rng.random_range(0..2);
    let target = match rng.random_range(0..16) {
        0 | 1 => Target::Gateway(index),
        2 | 3 => Target::Persistence(index),
        4 => Target::History,
        5 => Target::Directory,
        6 | 14 => Target::NatsLeader,
        7 => Target::NatsNode(rng.random_range(0..3)),
        8 => Target::Postgres,
        15 => Target::Wires(["gateway-0", "gateway-1"][index], NATS),
        _ => {
            let (from, to) = WIRES[rng.random_range(0..WIRES.len())];
            Target::Wires(from, to)
        }
    };
    let harm = match target {
        // Only gateways append and are told of events live.
        Target::Wires("gateway-0" | "gateway-1", NATS) => GATEWAY_NATS[rng.random_range(0..GATEWAY_NATS.len())],
        Target::Wires(..) => WIRE[rng.random_range(0..WIRE.len())],
        Target::NatsLeader => LEADER[rng.random_range(0..LEADER.len())],
        // A paused postmaster keeps its sessions: nothing happens to those who have one.
        Target::Postgres => [Harm::Kill, Harm::Terminate][index],
        _ => PROCESS[rng.random_range(0..PROCESS.len())],
    };
    (target, harm)
}

/// A fault that is under way.
struct Open {
    planned: Planned,
    /// The node of NATS that it happened to.
    node: usize,
}

/// Breaks and heals what is planned, and waits until everybody is back.
///
/// # Errors
/// When something cannot be broken or healed, or when somebody is not back within a minute.
pub async fn run(world: &mut World, planned: &[Planned]) -> Result<()> {
    let began = Instant::now();
    let mut waiting: Vec<Planned> = planned.to_vec();
    waiting.reverse();
    let mut open: Vec<Open> = Vec::new();
    loop {
        let now = began.elapsed();
        if let Some(place) = open.iter().position(|fault| fault.planned.end() <= now) {
            let fault = open.remove(place);
            end(world, &fault).await.with_context(|| format!("healing {}", fault.planned))?;
            world.healed(&row(&fault.planned));
        } else if let Some(planned) = waiting.pop_if(|planned| planned.at <= now) {
            open.push(begin(world, planned).await.with_context(|| format!("making {planned}"))?);
        } else if open.is_empty() && waiting.is_empty() {
            break;
        } else {
            let next =
                open.iter().map(|fault| fault.planned.end()).chain(waiting.last().map(|planned| planned.at)).min();
            let wait = next.map_or(Duration::ZERO, |next| next.saturating_sub(now));
            world.run_for(wait).await?;
        }
    }
    world.cluster.wait_until_ready().await?;
    world.cluster.nats.wait_until_ready().await?;
    world.until_back(BACK_BOUND).await.context("after the last fault of the round")?;
    Ok(())
}

fn row(planned: &Planned) -> String {
    format!("F38.{}", planned.number)
}

async fn begin(world: &mut World, planned: Planned) -> Result<Open> {
    let mut node = 0;
    let what = match planned.target {
        Target::NatsLeader => {
            node = world.cluster.leader_of(0).await?.unwrap_or(0);
            format!("{planned} (n{})", node + 1)
        }
        Target::NatsNode(index) => {
            node = index;
            planned.to_string()
        }
        _ => planned.to_string(),
    };
    world.fault(&row(&planned), &what);
    match planned.harm {
        Harm::Kill => drop(process(world, planned.target, node).kill9()?),
        Harm::Pause => process(world, planned.target, node).pause()?,
        Harm::Terminate => {
            // Of Postgres, SIGTERM waits for sessions to end, for ever.
            let signal = if planned.target == Target::Postgres { Signal::Interrupt } else { Signal::Terminate };
            process(world, planned.target, node).signal(signal)?;
        }
        Harm::StepDown => {
            // Another fault may keep the question from the leader: then nobody steps down.
            if let Err(error) = world.cluster.step_down(node, 0).await {
                world.say(&format!("nobody was asked to step down: {error:#}"));
            }
        }
        Harm::Cut
        | Harm::Silence
        | Harm::Slow
        | Harm::SilenceForth
        | Harm::SilenceBack
        | Harm::LoseAnswers
        | Harm::LoseEvents => {
            if let Some(wires) = wires(world, planned.target) {
                damage(&wires, planned.harm);
            }
        }
    }
    Ok(Open { planned, node })
}

fn damage(wires: &Link, harm: Harm) {
    match harm {
        Harm::Cut => drop(wires.cut()),
        Harm::Silence => drop(wires.silence()),
        Harm::Slow => drop(wires.slow(SLOW_LATENCY, SLOW_JITTER, SLOW_BYTES_PER_SECOND)),
        Harm::SilenceForth => drop(wires.silence_one_way(Direction::Forth)),
        Harm::SilenceBack => drop(wires.silence_one_way(Direction::Back)),
        Harm::LoseAnswers => lose(wires, |message| {
            message.is_answer() && message.payload.starts_with(b"{\"stream\":") && message.payload_holds("\"seq\":")
        }),
        Harm::LoseEvents => lose(wires, |message| message.subject.starts_with("huddle.live.")),
        Harm::Kill | Harm::Pause | Harm::Terminate | Harm::StepDown => {}
    }
}

/// Leaves out one in [`ONE_IN_LOST`] of the messages from NATS that `is_meant` says are meant, until the wires heal.
fn lose(wires: &Link, is_meant: impl Fn(&NatsMessage<'_>) -> bool + Send + 'static) {
    let mut count = 0_u64;
    // It goes on without the handle.
    let _ = wires.drop_replies(move |message| {
        let is_one = is_meant(message);
        count += u64::from(is_one);
        is_one && count.is_multiple_of(ONE_IN_LOST)
    });
}

async fn end(world: &mut World, fault: &Open) -> Result<()> {
    let Open { planned, node } = fault;
    match planned.harm {
        Harm::Pause => return process(world, planned.target, *node).resume(),
        Harm::Terminate => drop(process(world, planned.target, *node).wait(END_BOUND).await?),
        Harm::Kill => {}
        Harm::StepDown => return Ok(()),
        Harm::Cut
        | Harm::Silence
        | Harm::Slow
        | Harm::SilenceForth
        | Harm::SilenceBack
        | Harm::LoseAnswers
        | Harm::LoseEvents => {
            if let Some(wires) = wires(world, planned.target) {
                wires.heal();
            }
            return Ok(());
        }
    }
    match planned.target {
        Target::NatsLeader | Target::NatsNode(_) => world.cluster.nats.node(*node).restart().await,
        Target::Postgres => world.cluster.postgres.restart().await,
        Target::Wires(..) => Ok(()),
        // It gets ready while the run goes on.
        Target::Gateway(_) | Target::Persistence(_) | Target::History | Target::Directory => {
            service(world, planned.target).context("a service")?.spawn_again()
        }
    }
}

fn service(world: &mut World, target: Target) -> Option<&mut Service> {
    Some(match target {
        Target::Gateway(index) => &mut world.cluster.gateways[index],
        Target::Persistence(index) => &mut world.cluster.persistence[index],
        Target::History => &mut world.cluster.history,
        Target::Directory => &mut world.cluster.directory,
        Target::NatsLeader | Target::NatsNode(_) | Target::Postgres | Target::Wires(..) => return None,
    })
}

fn wires(world: &World, target: Target) -> Option<Link> {
    let Target::Wires(from, to) = target else { return None };
    Some(world.cluster.wires().between(from, to))
}

fn process(world: &mut World, target: Target, node: usize) -> &mut Process {
    match target {
        Target::Gateway(index) => world.cluster.gateways[index].process(),
        Target::Persistence(index) => world.cluster.persistence[index].process(),
        Target::History => world.cluster.history.process(),
        Target::Directory => world.cluster.directory.process(),
        Target::Postgres => world.cluster.postgres.process(),
        Target::NatsLeader | Target::NatsNode(_) | Target::Wires(..) => world.cluster.nats.node(node).process(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_round_give_the_same_faults_again_and_others_give_others() {
        assert_eq!(plan(7, 1), plan(7, 1));
        assert_ne!(plan(7, 1), plan(7, 2));
        assert_ne!(plan(7, 1), plan(8, 1));
    }

    #[test]
    fn at_most_two_faults_are_under_way_and_never_on_the_same_thing() {
        for seed in 0..200 {
            let planned = plan(seed, 1);
            assert!(planned.len() >= 4, "seed {seed}: {planned:?}");
            for (index, fault) in planned.iter().enumerate() {
                let others = planned[..index].iter().filter(|other| other.end() > fault.at);
                let others: Vec<&Planned> = others.collect();
                assert!(others.len() < AT_ONCE_MAX, "seed {seed}");
                let shared = |other: &&&Planned| other.touches().iter().any(|name| fault.touches().contains(name));
                assert_eq!(others.iter().find(shared), None, "seed {seed}: {fault}");
            }
        }
    }
}
