//! Runs random faults for people, and shows what runs have left: `cargo xtask faults` starts this.

use std::{
    fs,
    io::ErrorKind,
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
    /// Prints a table of the runs that have left something.
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

/// What a run, or a round of it, has left.
struct Left {
    place: PathBuf,
    row: String,
    seed: u64,
    round: u64,
    /// `None` when it failed before there was anything to report.
    report: Option<Value>,
}

fn print_table(since: SystemTime) -> Result<()> {
    let directory = files_of_runs();
    let runs = match fs::read_dir(&directory) {
        Ok(runs) => runs,
        // Rows that start no world leave nothing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    let mut all_left = Vec::new();
    for run in runs {
        let run = run?.path();
        let Some((row, seed)) = row_and_seed(&run) else { continue };
        let entries = fs::read_dir(&run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let rounds = entries.filter_map(|place| Some((round_number(&place)?, place)));
        for (round, place) in rounds.chain([(1, run.clone())]) {
            let report = read_report(&place)?;
            if written_at(&place)? >= since {
                all_left.push(Left { place, row: row.clone(), seed, round, report });
            }
        }
    }
    if all_left.is_empty() {
        return Ok(());
    }
    all_left.sort_by_key(|left| (row_number(&left.row), left.row.clone(), left.seed, left.round));
    println!(
        "\n{:<12}{:>8}{:>7}  {:<9}{:>13}{:>12}{:>11}",
        "row", "seed", "round", "verdict", "longest gap", "back after", "settled"
    );
    for left in &all_left {
        left.print();
    }
    Ok(())
}

impl Left {
    fn print(&self) {
        let Self { place, row, seed, round, report } = self;
        let report = report.as_ref().unwrap_or(&Value::Null);
        let largest = |field: &str| {
            let measured = report["measured"].as_array().map(Vec::as_slice).unwrap_or_default();
            measured.iter().filter_map(|measured| measured[field].as_u64()).max()
        };
        let held = report["clean"] == true && report["ended_well"] == true;
        let verdict = if held { "held" } else { "FAILED" };
        let (gap, back) = (seconds(largest("gap_ms")), seconds(largest("back_after_ms")));
        let settled = seconds(report["settled_after_ms"].as_u64());
        println!("{row:<12}{seed:>8}{round:>7}  {verdict:<9}{gap:>13}{back:>12}{settled:>11}");
        if !held {
            let what = if report.is_null() { ": no report, it failed before it was judged" } else { "" };
            println!("            {}{what}", place.display());
        }
    }
}

/// The directory of a run is named `F8-1`.
fn row_and_seed(run: &Path) -> Option<(String, u64)> {
    let (row, seed) = run.file_name()?.to_str()?.rsplit_once('-')?;
    Some((row.to_owned(), seed.parse().ok()?))
}

/// The first round is in the run's own directory, and others are in directories there.
fn round_number(place: &Path) -> Option<u64> {
    place.file_name()?.to_str()?.strip_prefix("round-")?.parse().ok()
}

/// When a run last wrote something that lasts: its report, or else its recording.
fn written_at(place: &Path) -> Result<SystemTime> {
    let files = [place.join("report.json"), place.join("recording.jsonl"), place.to_owned()];
    let written = files.iter().find_map(|path| fs::metadata(path).ok());
    Ok(written.with_context(|| format!("cannot look at {}", place.display()))?.modified()?)
}

fn read_report(place: &Path) -> Result<Option<Value>> {
    let path = place.join("report.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is no report", path.display()))
}

/// `F8` comes before `F12`.
fn row_number(row: &str) -> u64 {
    let digits: String = row.chars().skip_while(|it| !it.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()))
}
