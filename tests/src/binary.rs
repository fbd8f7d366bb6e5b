//! Owns where the `huddle` program is and how a test runs it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

const VARIABLE: &str = "HUDDLE_BIN";

/// What the names of variables that configure `huddle` begin with.
const CONFIGURATION: &str = "HUDDLE_";

/// The program under test, with nothing of this process's environment that would configure it.
///
/// # Errors
/// When it has not been built; the error says how to.
pub fn huddle() -> Result<Command> {
    let mut command = Command::new(path()?);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(CONFIGURATION)) {
        command.env_remove(name);
    }
    Ok(command)
}

/// What the environment names, or else what cargo built beside this test.
fn path() -> Result<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("{VARIABLE} names {}", path.display()));
    }
    let own = env::current_exe().context("cannot tell where this test is")?;
    // target/<profile>/deps/<test>
    let built = own.parent().and_then(Path::parent).map(|profile| profile.join("huddle"));
    match built {
        Some(path) if path.is_file() => Ok(path),
        _ => bail!("the huddle program is not built: run `cargo build -p huddle`, or name it with {VARIABLE}"),
    }
}
