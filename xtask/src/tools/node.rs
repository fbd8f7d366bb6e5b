//! Owns `.tools/node`: the Node packages of tests and checks, exactly as their lock file says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{cannot_write, is_installed, replace};
use crate::{repo, run};

const DIRECTORY: &str = "node";
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
const NPM_ADVICE: &str = "npm could not fetch the packages of xtask/pins/package.json. Check that this machine reaches a \
    Node package registry (npm's settings, proxy).";

pub(super) fn install(root: &Path) -> Result<()> {
    if !run::succeeds(run::command("npm").arg("--version")) {
        bail!(
            "Node with npm (version 20 or newer) is needed for the tests, which use clients from it, and for \
             the protobuf linter. Install it; running Huddle does not need it."
        );
    }
    replace(&root.join(DIRECTORY), &pins()?, |fresh| {
        for file in FILES {
            fs::copy(pinned(file), fresh.join(file)).with_context(|| cannot_write(fresh))?;
        }
        let mut npm = run::command("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(fresh);
        run::quietly(&mut npm).context(NPM_ADVICE)?;
        Ok(())
    })?;
    let link = root.join("bin/buf");
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink("../node/node_modules/.bin/buf", &link).with_context(|| cannot_write(&link))?;
    }
    Ok(())
}

pub(super) fn has_packages(root: &Path) -> Result<bool> {
    Ok(is_installed(&root.join(DIRECTORY), &pins()?))
}

/// The lock file names every package with its hash, so it is the version of the whole directory.
fn pins() -> Result<String> {
    let lock = pinned("package-lock.json");
    fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))
}

fn pinned(file: &str) -> std::path::PathBuf {
    repo::root().join("xtask/pins").join(file)
}
