//! Owns the running of faults: the tests of all rows, or random faults for as long as somebody likes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    repo, run,
    test::{self, END_TO_END, ROWS},
    tools,
};

/// The row of random faults, which has no test of its own.
const RANDOM_ROW: u32 = 38;
/// Tests of rows that stand elsewhere.
const ELSEWHERE: [Elsewhere; 4] = [
    Elsewhere { row: 25, package: "huddle-persistence", program: "persistence", tests: "test(/^older::/)" },
    Elsewhere { row: 27, package: "huddle-persistence", program: "persistence", tests: "test(/^strained::/)" },
    Elsewhere {
        row: 30,
        package: END_TO_END,
        program: "retries",
        tests: "test(=one_client_id_is_one_message_also_after_the_duplicate_window)",
    },
    Elsewhere { row: 36, package: END_TO_END, program: "start_up", tests: "test(/(^|::)f36_/)" },
];
/// What nextest ends with when a filter leaves no test.
const NO_TESTS: i32 = 4;
/// How long random faults go on when nobody says.
const RANDOM_MINUTES: u64 = 10;

/// Tests of a row outside of the program that is for rows.
struct Elsewhere {
    row: u32,
    package: &'static str,
    program: &'static str,
    /// Of that program, as nextest's filter.
    tests: &'static str,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Of whatever is random; without it rows take 1, and random faults draw one and print it.
    #[arg(long)]
    seed: Option<u64>,
    /// Breaks things at random for so many minutes, in rounds that are judged one by one.
    #[arg(long)]
    minutes: Option<u64>,
    /// One row of the table in `docs/reference/guarantees.md`, such as F8.
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
        (row, _) => programs.rows(options, row),
    };
    let since_ms = began.as_millis().to_string();
    let table = run::visibly(run::command(&programs.runner).args(["table", "--since-ms", &since_ms]));
    outcome.and(table)
}

/// `F8` and `f08` are 8.
fn number_of(row: &str) -> Result<u32> {
    let digits = row.trim_start_matches(['F', 'f']);
    digits.parse().with_context(|| format!("`{row}` is no row: those of docs/reference/guarantees.md are named as F8"))
}

fn list() -> Result<()> {
    run::visibly(&mut nextest("list", None)?)
}

/// The runner of tests, about to do `verb` with those of `row`, or of all rows.
fn nextest(verb: &str, row: Option<u32>) -> Result<Command> {
    let Some(nextest) = repo::tool("cargo-nextest") else {
        bail!("cargo-nextest is not to be had on this machine, and picks the rows: see `cargo xtask tools --tests`");
    };
    let mut command = run::command(nextest);
    command.args(["nextest", verb, "--ignore-default-filter", "--package", END_TO_END, "--test", ROWS]);
    let of_row = row.map(|row| format!(" and test(/(^|::)f{row:02}_/)")).unwrap_or_default();
    let mut filters = vec![format!("(package({END_TO_END}) and binary({ROWS}){of_row})")];
    for Elsewhere { package, program, tests, .. } in ELSEWHERE.iter().filter(|it| row.is_none_or(|row| row == it.row)) {
        command.args(["--package", package, "--test", program]);
        filters.push(format!("(package({package}) and binary({program}) and {tests})"));
    }
    command.args(["--filterset", &filters.join(" or ")]);
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
    fn rows(&self, options: &Options, row: Option<u32>) -> Result<()> {
        let mut command = nextest("run", row)?;
        command.args(["--no-capture", "--no-fail-fast"]).env("HUDDLE_BIN", &self.huddle);
        if let Some(seed) = options.seed {
            command.env("HUDDLE_FAULTS_SEED", seed.to_string());
        }
        let status = command.status().context("cannot start cargo-nextest")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(NO_TESTS) => bail!("this row has no test: docs/reference/guarantees.md says why"),
            _ => bail!("not every test passed ({status})"),
        }
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
