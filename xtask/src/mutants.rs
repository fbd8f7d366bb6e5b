//! Owns the mutants: small wrong changes of the product, each of which a named test has to find.
//!
//! A mutant is a patch in `tests/mutants`. The lines above the patch say what it breaks, which test finds it, and by which
//! words of that test's output: a test that fails for another reason has found nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{repo, run, run::Output, test, tools};

#[derive(Args)]
pub(crate) struct Options {
    /// Only mutants whose name holds this.
    #[arg(long)]
    only: Option<String>,
    /// Only look whether each patch still fits; builds and runs nothing.
    #[arg(long)]
    check: bool,
}

/// One wrong change.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// What it breaks, for people.
    breaks: String,
    /// The test that finds it, by its whole name within `tests/tests/faults`.
    test: String,
    /// What that test says then.
    says: String,
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
    let mut survivors = Vec::new();
    for mutant in &mutants {
        println!("\nmutants: {}: {}", mutant.name, mutant.breaks);
        let binary = mutant.build()?;
        if mutant.is_found(&binary)? {
            println!("mutants: {} was found by {}", mutant.name, mutant.test);
        } else {
            survivors.push(mutant.name.as_str());
        }
    }
    if !survivors.is_empty() {
        bail!("not found: {}", survivors.join(", "));
    }
    println!("\n{} mutants, all found", mutants.len());
    Ok(())
}

/// Looks whether each patch still fits.
pub(crate) fn check() -> Result<()> {
    run(&Options { only: None, check: true })
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
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.map(|value| value.trim().to_owned()).with_context(|| format!("{} has no `{name}`", patch.display()))
        };
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            name,
            patch: patch.to_owned(),
            breaks: field("Breaks:")?,
            test: field("Test:")?,
            says: field("Says:")?,
        })
    }

    fn check(&self) -> Result<()> {
        run::quietly(run::command("git").args(["apply", "--check"]).arg(&self.patch)).map(drop)
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
        let filter = format!("package(huddle-tests) and binary(faults) and test(={})", self.test);
        let (mut runner, _) = test::runner();
        runner
            .args(["--package", "huddle-tests", "--test", "faults", "--ignore-default-filter", "-E", &filter])
            .env("HUDDLE_BIN", binary);
        // Beside the files of runs that say something about the product.
        runner.env("HUDDLE_FAULTS_DIR", directory().join("faults"));
        let (lines, succeeded) = run::visibly_and_noted(&mut runner, Output::Error)?;
        let is_said = lines.iter().any(|line| line.contains(&self.says));
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
        let files = run::quietly(run::command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
        for file in files.lines() {
            let (from, to) = (repo::root().join(file), copy.join(file));
            let Ok(content) = fs::read(&from) else { continue };
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&copy))?;
            fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(Self(copy))
    }
}
