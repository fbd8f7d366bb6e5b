//! Owns the running of faults: the tests of the list's rows, or random faults for as long as somebody likes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{repo, run, test, tools};

/// The row of random faults, which no test is for.
const RANDOM_ROW: u32 = 38;
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
        return rows(options, Some("list"), &in_all_rows());
    }
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let row = options.only.as_deref().map(number_of).transpose()?;
    let outcome = match (row, options.minutes) {
        (None, Some(minutes)) => random(options, minutes),
        (Some(RANDOM_ROW), _) => random(options, RANDOM_MINUTES),
        (Some(number), _) => rows(options, None, &format!("{} and test(/(^|::)f{number:02}_/)", in_all_rows())),
        (None, None) => rows(options, None, &in_all_rows()),
    };
    let table = runner()?.args(["table", "--since-ms", &began.as_millis().to_string()]).status();
    outcome.and(table.map(drop).context("cannot show how the runs went"))
}

/// `F8` and `f08` are 8.
fn number_of(row: &str) -> Result<u32> {
    let digits = row.trim_start_matches(['F', 'f']);
    digits.parse().with_context(|| format!("`{row}` is no row of the list of faults: they are named as F8"))
}

fn in_all_rows() -> String {
    "package(huddle-tests) and binary(faults)".to_owned()
}

/// Runs tests, or does with them what `verb` says, with what they print as they print it.
fn rows(options: &Options, verb: Option<&str>, filter: &str) -> Result<()> {
    let Some(nextest) = repo::tool("cargo-nextest") else {
        bail!("cargo-nextest is not to be had on this machine, and picks the rows: see `cargo xtask tools --tests`");
    };
    let mut command = run::command(nextest);
    command.args(["nextest", verb.unwrap_or("run"), "--package", "huddle-tests", "--test", "faults"]);
    command.args(["--ignore-default-filter", "--filterset", filter]);
    if verb.is_none() {
        command.args(["--no-capture", "--no-fail-fast"]).env("HUDDLE_BIN", test::build_binary()?);
    }
    if let Some(seed) = options.seed {
        command.env("HUDDLE_FAULTS_SEED", seed.to_string());
    }
    run::visibly(&mut command)
}

fn random(options: &Options, minutes: u64) -> Result<()> {
    let binary = test::build_binary()?;
    let mut command = runner()?;
    command.args(["random", "--minutes", &minutes.to_string()]).env("HUDDLE_BIN", binary);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    run::visibly(&mut command)
}

/// Breaks things at random, and shows the runs' files.
fn runner() -> Result<std::process::Command> {
    run::visibly(run::cargo().args(["build", "--quiet", "--package", "huddle-tests", "--bin", "fault_runner"]))?;
    test::built("fault_runner").map(run::command)
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
