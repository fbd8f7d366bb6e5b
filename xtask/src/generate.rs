//! Owns the generated code that is committed: making it, and telling whether it is what `proto/` says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{repo, run};

const SOURCE: &str = "proto";
const GENERATED: &str = "crates/proto/src/generated";
const FRESH: &str = "target/xtask/generated";

#[derive(Args, Clone, Copy)]
pub(crate) struct Options {
    /// Changes nothing; fails when the committed code is not what the definitions give.
    #[arg(long)]
    check: bool,
}

pub(crate) fn generate(options: Options) -> Result<()> {
    if options.check { check() } else { update() }
}

/// Fails when the committed code differs from what the generator makes now.
pub(crate) fn check() -> Result<()> {
    let changed = changed_files()?;
    if !changed.is_empty() {
        bail!(
            "{GENERATED} is not what {SOURCE}/ gives ({}): run `cargo xtask generate` and commit what changes",
            names(&changed)
        );
    }
    println!("generate: {GENERATED} is current");
    Ok(())
}

fn update() -> Result<()> {
    let changed = changed_files()?;
    let (fresh, committed) = (repo::root().join(FRESH), repo::root().join(GENERATED));
    fs::create_dir_all(&committed).with_context(|| format!("cannot make {GENERATED}"))?;
    for name in &changed {
        let outcome = if fresh.join(name).exists() {
            fs::copy(fresh.join(name), committed.join(name)).map(drop)
        } else {
            fs::remove_file(committed.join(name))
        };
        outcome.with_context(|| format!("cannot update {GENERATED}/{}", name.display()))?;
    }
    match changed.len() {
        0 => println!("generate: {GENERATED} was current"),
        _ => println!("generate: updated {} in {GENERATED}", names(&changed)),
    }
    Ok(())
}

/// Runs the generator beside the committed code; returns the names of files that are new, gone or different.
fn changed_files() -> Result<BTreeSet<OsString>> {
    let (fresh, committed) = (repo::root().join(FRESH), repo::root().join(GENERATED));
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {FRESH}"))?;
    }
    let mut generator = run::cargo();
    generator.args(["run", "--quiet", "--package", "huddle-proto-generate", "--", SOURCE]).arg(&fresh);
    run::visibly(&mut generator)?;
    let (mut candidates, existing) = (file_names(&fresh)?, file_names(&committed)?);
    candidates.extend(existing);
    candidates.retain(|name| fs::read(fresh.join(name)).ok() != fs::read(committed.join(name)).ok());
    Ok(candidates)
}

fn file_names(directory: &Path) -> Result<BTreeSet<OsString>> {
    if !directory.exists() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    Ok(entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<_>>()?)
}

fn names(files: &BTreeSet<OsString>) -> String {
    let names: Vec<_> = files.iter().map(|name| name.to_string_lossy()).collect();
    names.join(", ")
}
