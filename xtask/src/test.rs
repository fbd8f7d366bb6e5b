//! Owns the running of all tests: first what they need, then doctests, then everything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::Output;
use crate::{repo, run, tools};

/// The package of the tests of everything together, and its test program for the rows of faults.
pub(crate) const END_TO_END: &str = "huddle-tests";
pub(crate) const ROWS: &str = "faults";

#[derive(Args)]
pub(crate) struct Options {
    /// Goes to the test runner, for example a part of a test's name or `-p PACKAGE`; doctests are left out then.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// How many tests the runner says passed and failed.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs the tests with the runner's output as it is.
pub(crate) fn test(options: &Options) -> Result<()> {
    let (mut runner, _) = prepare(&options.arguments)?;
    run::visibly(&mut runner)
}

/// Runs all tests and counts them.
pub(crate) fn test_and_count() -> Result<Count> {
    let (mut runner, kind) = prepare(&[])?;
    let (lines, succeeded) = match kind {
        Runner::Nextest => run::visibly_and_noted(&mut runner, Output::Error)?,
        Runner::CargoTest => run::visibly_and_noted(&mut runner, Output::Standard)?,
    };
    let count = kind.count(&lines);
    if !succeeded || count.failed > 0 {
        bail!("tests failed: {} passed, {} failed", count.passed, count.failed);
    }
    if count.passed == 0 {
        bail!("no test ran");
    }
    Ok(count)
}

#[derive(Clone, Copy)]
pub(crate) enum Runner {
    Nextest,
    CargoTest,
}

fn prepare(arguments: &[String]) -> Result<(Command, Runner)> {
    tools::install(tools::Options { tests: true })?;
    let binary = build_binary()?;
    if arguments.is_empty() {
        run::visibly(run::cargo().args(["test", "--doc", "--workspace", "--quiet"]).env("HUDDLE_BIN", &binary))?;
    }
    let (mut runner, kind) = runner();
    if !arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package")) {
        runner.arg("--workspace");
    }
    if matches!(kind, Runner::CargoTest) {
        runner.args(without_rows(arguments)?);
    }
    runner.args(arguments).env("HUDDLE_BIN", &binary);
    Ok((runner, kind))
}

/// The end-to-end tests start this binary; cargo does not build it for them, because they are another package.
pub(crate) fn build_binary() -> Result<PathBuf> {
    run::visibly(run::cargo().args(["build", "--package", "huddle"]))?;
    built("huddle")
}

/// The program `name` that cargo has built.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    // This program was built into the same directory by the same profile.
    let binary = own.with_file_name(name);
    if !binary.is_file() {
        bail!("cargo built no {}: run this as `cargo xtask`, not as a release build", binary.display());
    }
    Ok(binary)
}

pub(crate) fn runner() -> (Command, Runner) {
    if let Some(nextest) = repo::tool("cargo-nextest") {
        let mut command = run::command(nextest);
        command.args(["nextest", "run"]);
        return (command, Runner::Nextest);
    }
    let mut command = run::cargo();
    if run::succeeds(run::cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run"]);
        return (command, Runner::Nextest);
    }
    println!("test: cargo-nextest is not to be had, using cargo test");
    command.arg("test");
    (command, Runner::CargoTest)
}

/// What has cargo test run everything that `arguments` ask for but the rows of faults. It would run them all, and at the same
/// time: it knows neither nextest's filter nor its groups.
fn without_rows(arguments: &[String]) -> Result<Vec<String>> {
    const SELECTIONS: [&str; 5] = ["--test", "--tests", "--lib", "--bin", "--bins"];
    let is_selected = |argument: &String| SELECTIONS.contains(&argument.split('=').next().unwrap_or(argument));
    if arguments.iter().take_while(|argument| *argument != "--").any(is_selected) {
        return Ok(Vec::new());
    }
    let names_package =
        arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
    let names_end_to_end = arguments.iter().any(|argument| argument.ends_with(END_TO_END));
    if names_package && !names_end_to_end {
        return Ok(vec!["--tests".to_owned()]);
    }
    println!("test: the rows of faults are left out, which only nextest can run one after the other");
    let mut folders = vec![repo::root().join("tests/tests")];
    if !names_package {
        folders.extend(entries(&repo::root().join("crates"))?.into_iter().map(|package| package.join("tests")));
    }
    let mut selected: Vec<String> = ["--lib", "--bins"].map(str::to_owned).to_vec();
    for program in folders.iter().filter(|folder| folder.is_dir()).map(|folder| test_programs(folder)) {
        for name in program?.into_iter().filter(|name| name != ROWS) {
            selected.extend(["--test".to_owned(), name]);
        }
    }
    Ok(selected)
}

/// Names of the test programs in a package's folder of tests, as cargo finds them.
fn test_programs(folder: &Path) -> Result<Vec<String>> {
    let is_program = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").is_file();
    let programs = entries(folder)?.into_iter().filter(is_program);
    Ok(programs.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

impl Runner {
    fn count(self, lines: &[String]) -> Count {
        let closing = |line: &&String| match self {
            Self::Nextest => line.trim_start().starts_with("Summary ["),
            Self::CargoTest => line.starts_with("test result:"),
        };
        let mut total = Count { passed: 0, failed: 0 };
        for line in lines.iter().filter(closing) {
            total.passed += number_before(line, "passed");
            total.failed += number_before(line, "failed") + number_before(line, "timed out");
        }
        total
    }
}

/// The number in front of `word`: 3 for "passed" in "4 tests run: 3 passed, 1 failed". 0 when there is none.
fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().filter(|before| before.len() < line.len());
    let number = before.and_then(|before| before.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_is_given_all_test_programs_but_that_of_rows() {
        let arguments = |words: &[&str]| without_rows(&words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        for (words, of_crates) in [(&[][..], true), (&["-p", "huddle-tests"], false), (&["-phuddle-tests", "x"], false)]
        {
            let selected = arguments(words).unwrap();
            let names = |name: &str| selected.iter().any(|it| it == name);
            assert!(names("--lib") && names("start_up") && names("failover") && !names(ROWS), "{selected:?}");
            assert_eq!(names("persistence"), of_crates, "{selected:?}");
        }
        assert_eq!(arguments(&["-p", "huddle-log"]).unwrap(), ["--tests"]);
        assert!(arguments(&["-p", "huddle-tests", "--test", "faults"]).unwrap().is_empty());
    }

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let nextest =
            ["     Summary [  10.8s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 4 skipped".to_owned()];
        let count = Runner::Nextest.count(&nextest);
        assert_eq!((count.passed, count.failed), (6, 3));

        let cargo = [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "test result: FAILED. 1 passed; 2 failed",
        ];
        let count = Runner::CargoTest.count(&cargo.map(str::to_owned));
        assert_eq!((count.passed, count.failed), (4, 2));
    }
}
