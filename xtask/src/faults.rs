//! Owns the running of faults: the tests of the list's rows, or random faults for as long as somebody likes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{repo, run, test, tools};

/// The row of random faults, which no test is for.
const RANDOM_ROW: u32 = 38;
/// The tests of rows, for nextest.
const ALL_ROWS: &str = "package(huddle-tests) and binary(faults)";
/// How long random faults go on when nobody says.
const RANDOM_MINUTES: u64 = 10;

#[derive(Args)]
pub(crate) struct Options {
    /// Of whatever is random; without it rows take 1, and random faults draw one and print it.
    #[arg(long)]
    seed: Option<u64>,
    /// Breaks things at random for so many minutes, in rounds that are judged one by one.
    #[arg(long)]
    minutes: Option<u64>,
    /// One row of the list of faults, such as F8.
    #[arg(long, value_name = "ROW", conflicts_with = "minutes")]
    only: Option<String>,
    /// Names the tests of all rows, and runs nothing.
    #[arg(long, conflicts_with_all = ["minutes", "only"])]
    list: bool,
}

/// Builds what is needed, runs, and shows how each run went.
pub(crate) fn faults(options: &Options) -> Result<()> {
    tools::install(tools::Options { tests: true })?;
    if options.list {
        return list();
    }
    let programs = Programs::build()?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let row = options.only.as_deref().map(number_of).transpose()?;
    let outcome = match (row, options.minutes) {
        (None, Some(minutes)) => programs.random(options, minutes),
        (Some(RANDOM_ROW), _) => programs.random(options, RANDOM_MINUTES),
        (Some(number), _) => programs.rows(options, &format!("{ALL_ROWS} and test(/(^|::)f{number:02}_/)")),
        (None, None) => programs.rows(options, ALL_ROWS),
    };
    let since_ms = began.as_millis().to_string();
    let table = run::visibly(run::command(&programs.runner).args(["table", "--since-ms", &since_ms]));
    outcome.and(table)
}

/// `F8` and `f08` are 8.
fn number_of(row: &str) -> Result<u32> {
    let digits = row.trim_start_matches(['F', 'f']);
    digits.parse().with_context(|| format!("`{row}` is no row of the list of faults: they are named as F8"))
}

fn list() -> Result<()> {
    run::visibly(nextest("list")?.args(["--filterset", ALL_ROWS]))
}

/// The runner of tests, about to do `verb` with those of rows.
fn nextest(verb: &str) -> Result<Command> {
    let Some(nextest) = repo::tool("cargo-nextest") else {
        bail!("cargo-nextest is not to be had on this machine, and picks the rows: see `cargo xtask tools --tests`");
    };
    let mut command = run::command(nextest);
    command.args(["nextest", verb, "--package", "huddle-tests", "--test", "faults", "--ignore-default-filter"]);
    Ok(command)
}

/// What runs, built before anything does.
struct Programs {
    /// The program that is put to the test.
    huddle: PathBuf,
    /// Breaks things at random, and shows what runs have left.
    runner: PathBuf,
}

impl Programs {
    fn build() -> Result<Self> {
        let huddle = test::build_binary()?;
        run::visibly(run::cargo().args(["build", "--package", "huddle-tests", "--bin", "fault_runner"]))?;
        Ok(Self { huddle, runner: test::built("fault_runner")? })
    }

    /// Runs tests, with what they print as they print it.
    fn rows(&self, options: &Options, filter: &str) -> Result<()> {
        let mut command = nextest("run")?;
        command.args(["--filterset", filter, "--no-capture", "--no-fail-fast"]).env("HUDDLE_BIN", &self.huddle);
        if let Some(seed) = options.seed {
            command.env("HUDDLE_FAULTS_SEED", seed.to_string());
        }
        run::visibly(&mut command)
    }

    fn random(&self, options: &Options, minutes: u64) -> Result<()> {
        let mut command = run::command(&self.runner);
        command.args(["random", "--minutes", &minutes.to_string()]).env("HUDDLE_BIN", &self.huddle);
        if let Some(seed) = options.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        run::visibly(&mut command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_as_in_the_list() {
        for row in ["F8", "f8", "f08", "8"] {
            assert_eq!(number_of(row).ok(), Some(8));
        }
        assert!(number_of("gateway").is_err());
    }
}
