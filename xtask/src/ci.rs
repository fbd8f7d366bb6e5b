//! Owns the list of checks that a change must pass, in the order that shows cheap failures early.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{documents, generate, mutants, repo, run, test, tools};

/// How a step ended.
enum Outcome {
    Passed,
    /// Not run, because a program is not to be had on this machine.
    Skipped,
    Failed,
}

struct Summary {
    steps: Vec<(&'static str, Outcome, Duration)>,
}

/// Runs every check, also after one has failed, and then says how each went.
pub(crate) fn run() -> Result<()> {
    let mut summary = Summary { steps: Vec::new() };
    summary.step("tools", || tools::install(tools::Options { tests: true }).map(|()| Outcome::Passed));
    summary.step("format", || passed(run::cargo().args(["fmt", "--all", "--check"])));
    summary.step("protobuf lint", buf_lint);
    summary.step("generated code", || generate::check().map(|()| Outcome::Passed));
    summary.step("documents", || documents::check().map(|()| Outcome::Passed));
    summary.step("mutants", || mutants::check().map(|()| Outcome::Passed));
    summary.step("dependencies", cargo_deny);
    summary.step("clippy", || {
        passed(run::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    summary.step("rustdoc", || {
        passed(run::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    });
    let mut count = None;
    summary.step("tests", || {
        count = Some(test::test_and_count()?);
        Ok(Outcome::Passed)
    });

    summary.print();
    if let Some(count) = count {
        println!("\n{} passed, {} failed", count.passed, count.failed);
    }
    summary.result()
}

fn passed(command: &mut std::process::Command) -> Result<Outcome> {
    run::visibly(command).map(|()| Outcome::Passed)
}

fn buf_lint() -> Result<Outcome> {
    let buf = repo::tool("buf").context("buf is not among the tools: see the step `tools`")?;
    passed(run::command(buf).args(["lint", "proto"]))
}

/// Advisories are left out: they need a database from the network, and change without a change here.
fn cargo_deny() -> Result<Outcome> {
    let Some(deny) = repo::tool("cargo-deny") else {
        println!("ci: cargo-deny is not to be had on this machine: layering, licences and sources are not checked");
        return Ok(Outcome::Skipped);
    };
    let mut command = run::command(deny);
    command.args(["--locked", "--all-features", "check", "--allow", "unused-wrapper", "bans", "licenses", "sources"]);
    passed(&mut command)
}

impl Summary {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        println!("\nci: {name}");
        let start = Instant::now();
        let outcome = work().unwrap_or_else(|error| {
            println!("ci: {name}: {error:#}");
            Outcome::Failed
        });
        let took = start.elapsed();
        println!("ci: {name} {} after {:.1} s", outcome.word(), took.as_secs_f64());
        self.steps.push((name, outcome, took));
    }

    fn print(&self) {
        println!();
        for (name, outcome, took) in &self.steps {
            println!("{name:<16}{:<9}{:>8.1} s", outcome.word(), took.as_secs_f64());
        }
    }

    fn result(&self) -> Result<()> {
        let failed = self.steps.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed));
        let failed: Vec<_> = failed.map(|(name, ..)| *name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "FAILED",
        }
    }
}
