//! Runs random faults for people, and shows what runs have left: `cargo xtask faults` starts this.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use huddle_tests::faults::{World, WorldOptions, files_of_runs, schedule};
use serde_json::Value;

/// The name of random runs in the list of faults.
const ROW: &str = "F38";
/// A seed that somebody may want to type again.
const DRAWN_SEED_MAX: u64 = 1_000_000;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Breaks things at random, round after round.
    Random {
        /// Repeats what an earlier run of this seed broke; drawn and printed otherwise.
        #[arg(long)]
        seed: Option<u64>,
        /// No round begins after this many minutes.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Breaks nothing: for a look at the fleet and at what the machine carries.
    Calm {
        /// For how long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Prints the faults of a random run without running it.
    Plan {
        /// The run's seed.
        #[arg(long)]
        seed: u64,
        /// So many rounds.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Prints a table of the runs that have left a report.
    Table {
        /// Only those that were written after this time, in milliseconds since 1970.
        #[arg(long, default_value_t = 0)]
        since_ms: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Random { seed, minutes } => Box::pin(random(seed, Duration::from_secs(60 * minutes))).await,
        Command::Calm { seconds } => Box::pin(calm(Duration::from_secs(seconds))).await,
        Command::Plan { seed, rounds } => {
            print_plan(seed, rounds);
            Ok(())
        }
        Command::Table { since_ms } => print_table(SystemTime::UNIX_EPOCH + Duration::from_millis(since_ms)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn random(seed: Option<u64>, time: Duration) -> Result<()> {
    let seed = seed.unwrap_or_else(|| rand::random_range(1..DRAWN_SEED_MAX));
    println!("seed {seed}: `cargo xtask faults --seed {seed} --minutes N` breaks the same things again");
    let began = Instant::now();
    let mut world = Box::pin(World::start(WorldOptions { seed, ..WorldOptions::of(ROW) })).await?;
    let mut round = 1;
    loop {
        world.say(&format!("round {round}"));
        Box::pin(schedule::run(&mut world, &schedule::plan(seed, round))).await?;
        world.measure_all();
        Box::pin(world.settle()).await.with_context(|| format!("round {round} of seed {seed}"))?;
        if began.elapsed() >= time {
            break;
        }
        round += 1;
        Box::pin(world.next_round()).await?;
    }
    Box::pin(world.finish()).await?;
    println!("{round} rounds of seed {seed} held");
    Ok(())
}

async fn calm(time: Duration) -> Result<()> {
    let mut world = Box::pin(World::start(WorldOptions::of("calm"))).await?;
    world.run_for(time).await?;
    world.measure();
    Box::pin(world.settle()).await?;
    Box::pin(world.finish()).await
}

fn print_plan(seed: u64, rounds: u32) {
    for round in 1..=rounds {
        println!("round {round}");
        for fault in schedule::plan(seed, round) {
            let (at, lasts) = (fault.at.as_secs_f64(), fault.lasts.as_secs_f64());
            println!("{at:7.1} s  for {lasts:4.1} s  {fault}");
        }
    }
}

fn print_table(since: SystemTime) -> Result<()> {
    let directory = files_of_runs();
    let mut reports = Vec::new();
    for run in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let run = run?.path();
        let rounds = fs::read_dir(&run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        for place in rounds.chain([run.clone()]) {
            if let Some(report) = read_report(&place, since)? {
                reports.push((place, report));
            }
        }
    }
    reports.sort_by_key(|(place, report)| (row_number(&report["row"]), report["round"].as_u64(), place.clone()));
    if reports.is_empty() {
        return Ok(());
    }
    println!(
        "\n{:<8}{:>8}{:>7}  {:<9}{:>13}{:>12}{:>11}",
        "row", "seed", "round", "verdict", "longest gap", "back after", "settled"
    );
    for (place, report) in &reports {
        let name = report["row"].as_str().unwrap_or_default();
        let numbers = ["seed", "round"].map(|field| report[field].as_u64().unwrap_or_default());
        let largest = |field: &str| {
            let measured = report["measured"].as_array().map(Vec::as_slice).unwrap_or_default();
            measured.iter().filter_map(|measured| measured[field].as_u64()).max()
        };
        let verdict = match (report["clean"].as_bool(), report["ended_well"].as_bool()) {
            (Some(true), Some(true)) => "held",
            _ => "FAILED",
        };
        let (gap, back) = (seconds(largest("gap_ms")), seconds(largest("back_after_ms")));
        let settled = seconds(report["settled_after_ms"].as_u64());
        println!("{name:<8}{:>8}{:>7}  {verdict:<9}{gap:>13}{back:>12}{settled:>11}", numbers[0], numbers[1]);
        if verdict == "FAILED" {
            println!("        {}", place.display());
        }
    }
    Ok(())
}

fn read_report(place: &Path, since: SystemTime) -> Result<Option<Value>> {
    let path: PathBuf = place.join("report.json");
    let Ok(metadata) = fs::metadata(&path) else { return Ok(None) };
    if metadata.modified()? < since {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is no report", path.display()))
}

/// `F8` comes before `F12`.
fn row_number(row: &Value) -> u64 {
    let digits: String = row.as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()))
}
