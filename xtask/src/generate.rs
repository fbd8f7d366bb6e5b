//! Owns what is generated from `proto/` and committed: making it, and telling whether it is what the definitions say.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{repo, run};

const SOURCE: &str = "proto";
const CODE: &str = "crates/proto/src/generated";
const INTRODUCTION: &str = "docs/reference/protocol.intro.md";
const PAGE: &str = "docs/reference/protocol.md";
const FRESH: &str = "target/xtask/generated";

#[derive(Args, Clone, Copy)]
pub(crate) struct Options {
    /// Changes nothing; fails when what is committed is not what the definitions give.
    #[arg(long)]
    check: bool,
}

pub(crate) fn generate(options: Options) -> Result<()> {
    if options.check { check() } else { update() }
}

/// Fails when what is committed differs from what the generator makes now.
pub(crate) fn check() -> Result<()> {
    let changed = changed_files()?;
    if !changed.is_empty() {
        bail!(
            "not what {SOURCE}/ and {INTRODUCTION} give: {}; run `cargo xtask generate` and commit what changes",
            names(&changed)
        );
    }
    println!("generate: {CODE} and {PAGE} are current");
    Ok(())
}

fn update() -> Result<()> {
    let changed = changed_files()?;
    fs::create_dir_all(repo::root().join(CODE)).with_context(|| format!("cannot make {CODE}"))?;
    for path in &changed {
        let (fresh, committed) = (fresh_root().join(path), repo::root().join(path));
        let outcome = if fresh.exists() { fs::copy(fresh, committed).map(drop) } else { fs::remove_file(committed) };
        outcome.with_context(|| format!("cannot update {}", path.display()))?;
    }
    match changed.len() {
        0 => println!("generate: {CODE} and {PAGE} were current"),
        _ => println!("generate: updated {}", names(&changed)),
    }
    Ok(())
}

/// Runs the generator beside what is committed; returns the paths of files that are new, gone or different.
fn changed_files() -> Result<BTreeSet<PathBuf>> {
    let fresh = fresh_root();
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {FRESH}"))?;
    }
    let (code, page) = (fresh.join(CODE), fresh.join(PAGE));
    if let Some(directory) = page.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {FRESH}"))?;
    }
    let mut generator = run::cargo();
    generator.args(["run", "--quiet", "--package", "huddle-proto-generate", "--", SOURCE]);
    run::visibly(generator.arg(&code).arg(INTRODUCTION).arg(&page))?;

    let mut code_files = file_names(&code)?;
    code_files.extend(file_names(&repo::root().join(CODE))?);
    let mut paths: BTreeSet<PathBuf> = code_files.iter().map(|name| Path::new(CODE).join(name)).collect();
    paths.insert(PAGE.into());
    paths.retain(|path| fs::read(fresh.join(path)).ok() != fs::read(repo::root().join(path)).ok());
    Ok(paths)
}

/// Where the generator writes, as if it were the root of the checkout.
fn fresh_root() -> PathBuf {
    repo::root().join(FRESH)
}

fn file_names(directory: &Path) -> Result<BTreeSet<OsString>> {
    if !directory.exists() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    Ok(entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<_>>()?)
}

fn names(files: &BTreeSet<PathBuf>) -> String {
    let names: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
