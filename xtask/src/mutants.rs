//! Owns the mutants: small wrong changes of the product, each of which a named test has to find.
//!
//! A mutant is a patch in `tests/mutants`. The lines above the patch say what it breaks, which test finds it, and by which
//! words of that test's output (or by which others): a test that fails for another reason has found nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    repo,
    run::{self, Output},
    test::{self, END_TO_END, ROWS, Runner},
    tools,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Only mutants whose name holds this.
    #[arg(long)]
    only: Option<String>,
    /// Only look whether each patch still fits and its test exists; builds and runs nothing.
    #[arg(long)]
    check: bool,
    /// First run each of those tests with the program as it is: they have to pass.
    #[arg(long, conflicts_with = "check")]
    baseline: bool,
}

/// One wrong change.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// What it breaks, for people.
    breaks: String,
    /// The test that finds it, by its whole name within `tests/tests/faults`.
    test: String,
    /// What that test says then: one of these.
    says: Vec<String>,
}

/// Makes each mutant, and runs the test that has to find it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |mutant: &Mutant| options.only.as_ref().is_none_or(|only| mutant.name.contains(only));
    let mutants: Vec<_> = all()?.into_iter().filter(wanted).collect();
    ensure!(!mutants.is_empty(), "there is no such mutant in tests/mutants");
    if options.check {
        return mutants.iter().try_for_each(Mutant::check);
    }
    tools::install(tools::Options { tests: true })?;
    let mut troubles = Vec::new();
    if options.baseline {
        troubles.extend(baseline(&mutants)?);
    }
    for mutant in &mutants {
        println!("\nmutants: {}: {}", mutant.name, mutant.breaks);
        match mutant.build().and_then(|binary| mutant.is_found(&binary)) {
            Ok(true) => println!("mutants: {} was found by {}", mutant.name, mutant.test),
            Ok(false) => troubles.push(format!("{} was not found", mutant.name)),
            Err(error) => {
                println!("mutants: {}: {error:#}", mutant.name);
                troubles.push(format!("{} could not be tried", mutant.name));
            }
        }
    }
    if !troubles.is_empty() {
        bail!("of {} mutants: {}", mutants.len(), troubles.join(", "));
    }
    println!("\n{} mutants, all found", mutants.len());
    Ok(())
}

/// Runs the tests that have to find mutants with the program as it is, and tells which of them fail: those find anything.
fn baseline(mutants: &[Mutant]) -> Result<Vec<String>> {
    let binary = test::build_binary()?;
    let tests: BTreeSet<_> = mutants.iter().map(|mutant| mutant.test.as_str()).collect();
    let mut failed = Vec::new();
    for test in tests {
        println!("\nmutants: {test} with the program as it is");
        if !runner_of(test, &binary)?.status().context("cannot start cargo-nextest")?.success() {
            failed.push(format!("{test} fails without any mutant"));
        }
    }
    Ok(failed)
}

/// What runs one test of a row with the program `binary`.
fn runner_of(test: &str, binary: &Path) -> Result<Command> {
    let (mut runner, Runner::Nextest) = test::runner() else {
        bail!("cargo-nextest is not to be had on this machine, and picks the tests: see `cargo xtask tools --tests`");
    };
    let filter = format!("package({END_TO_END}) and binary({ROWS}) and test(={test})");
    runner.args(["--package", END_TO_END, "--test", ROWS, "--ignore-default-filter", "-E", &filter]);
    // Beside the files of runs that say something about the product.
    runner.env("HUDDLE_BIN", binary).env("HUDDLE_FAULTS_DIR", directory().join("faults"));
    Ok(runner)
}

/// Looks whether each patch still fits, and each test exists.
pub(crate) fn check() -> Result<()> {
    run(&Options { only: None, check: true, baseline: false })
}

fn all() -> Result<Vec<Mutant>> {
    let directory = repo::root().join("tests/mutants");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut patches = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    patches.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    patches.sort();
    patches.into_iter().map(|patch| Mutant::read(&patch)).collect()
}

impl Mutant {
    fn read(patch: &Path) -> Result<Self> {
        let text = fs::read_to_string(patch).with_context(|| format!("cannot read {}", patch.display()))?;
        let fields = |name: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix(name));
            let values: Vec<_> = values.map(|value| value.trim().to_owned()).collect();
            ensure!(values.iter().any(|value| !value.is_empty()), "{} has no `{name}`", patch.display());
            Ok(values)
        };
        let field = |name: &str| Ok::<_, anyhow::Error>(fields(name)?.swap_remove(0));
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            name,
            patch: patch.to_owned(),
            breaks: field("Breaks:")?,
            test: field("Test:")?,
            says: fields("Says:")?,
        })
    }

    fn check(&self) -> Result<()> {
        run::quietly(run::command("git").args(["apply", "--check"]).arg(&self.patch))?;
        let (module, function) = self.test.split_once("::").unwrap_or(("main", &self.test));
        let function = function.rsplit("::").next().unwrap_or(function);
        let folder = format!("tests/tests/{ROWS}");
        let mut search = run::command("git");
        search.args(["grep", "--untracked", "--quiet", "--fixed-strings", "--word-regexp", "-e"]);
        search.args([&format!("fn {function}"), "--", &format!("{folder}/{module}.rs"), &format!("{folder}/{module}")]);
        ensure!(run::succeeds(&mut search), "{}: there is no test {} in {folder}", self.patch.display(), self.test);
        Ok(())
    }

    /// Builds the program with the change, in a copy of the checkout of its own.
    fn build(&self) -> Result<PathBuf> {
        let copy = Copy::of_checkout()?;
        // Outside of any repository, as far as git can see: paths are those of the copy.
        let mut apply = Command::new("git");
        apply.current_dir(&copy.0).env("GIT_CEILING_DIRECTORIES", copy.0.parent().unwrap_or(&copy.0));
        run::quietly(apply.arg("apply").arg(&self.patch))?;
        let target = directory().join("target");
        let mut build = run::cargo();
        build.current_dir(&copy.0).args(["build", "--quiet", "--package", "huddle"]).arg("--target-dir").arg(&target);
        run::visibly(&mut build)?;
        Ok(target.join("debug").join("huddle"))
    }

    fn is_found(&self, binary: &Path) -> Result<bool> {
        let mut runner = runner_of(&self.test, binary)?;
        let (lines, succeeded) = run::visibly_and_noted(&mut runner, Output::Error)?;
        let is_said = lines.iter().any(|line| self.says.iter().any(|says| line.contains(says)));
        match (succeeded, is_said) {
            (false, true) => Ok(true),
            (true, _) => {
                println!("mutants: {} passed with {}", self.test, self.name);
                Ok(false)
            }
            (false, false) => {
                println!("mutants: {} failed and did not say {:?}", self.test, self.says);
                Ok(false)
            }
        }
    }
}

fn directory() -> PathBuf {
    repo::root().join("target/mutants")
}

/// A copy of everything that git knows of, where only what has changed is written again: the build goes by that.
struct Copy(PathBuf);

impl Copy {
    fn of_checkout() -> Result<Self> {
        let copy = directory().join("tree");
        let mut list = run::command("git");
        let files = run::quietly(list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
        let mut present = BTreeSet::new();
        for file in files.split_terminator('\0') {
            let (from, to) = (repo::root().join(file), copy.join(file));
            // What is deleted and not committed yet is listed still.
            let Ok(content) = fs::read(&from) else { continue };
            present.insert(to.clone());
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&copy))?;
            fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        }
        remove_all_but(&present, &copy)?;
        Ok(Self(copy))
    }
}

/// Removes files below `folder` that are not among `present`: cargo would build a source that is gone.
fn remove_all_but(present: &BTreeSet<PathBuf>, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_all_but(present, &path)?;
        } else if !present.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
