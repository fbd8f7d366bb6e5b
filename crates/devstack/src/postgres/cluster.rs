//! Owns the making of a data directory: `initdb`, and for temporary servers a copy of one that is made once.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::USER;
use crate::Signal;
use crate::account::Account;
use crate::data_dir::DataDir;
use crate::password::Password;
use crate::watchdog::Watchdog;

/// Postgres's own directory, inside the one that this crate is given.
pub(super) const DATA: &str = "data";
const PASSWORD: &str = "password";

/// Changes when the way of making a template does.
const TEMPLATE_FORMAT: &str = "1";

/// The password is random and long: hashing it slowly protects nothing, and costs every connection.
const SCRAM_ITERATIONS: &str = "scram_iterations=1";

/// Fills the directory unless it holds a server's data already, and returns the password of that data.
pub(super) fn prepare(bin: &Path, account: &Account, directory: &DataDir) -> Result<Password> {
    let root = directory.path();
    if !root.join(DATA).join("PG_VERSION").exists() {
        match directory {
            DataDir::Kept(_) => initialise(bin, account, root, &[])?,
            DataDir::Temporary(_) => {
                let template = template(bin, account)?;
                copy(&template, root, account).context("cannot copy the template of a data directory")?;
            }
        }
    }
    let password = fs::read_to_string(root.join(PASSWORD)).with_context(|| {
        format!(
            "cannot read the password of the Postgres data in {}; remove that directory to start anew",
            root.display()
        )
    })?;
    Ok(Password::from_file(&password))
}

/// Runs `initdb` in `root`, which belongs to `account`. An interrupted run leaves nothing that looks complete.
fn initialise(bin: &Path, account: &Account, root: &Path, arguments: &[&str]) -> Result<()> {
    let password = root.join(PASSWORD);
    write_private(&password, Password::random().reveal())?;
    account.give(&password)?;
    let (data, unfinished) = (root.join(DATA), root.join("data.incomplete"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    let mut initdb = account.command(&bin.join("initdb"));
    initdb.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&password);
    initdb.args(["--username", USER, "--auth", "scram-sha-256", "--set", SCRAM_ITERATIONS, "--no-instructions"]);
    initdb.args(["--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]);
    run(initdb.args(arguments))?;
    fs::rename(&unfinished, &data).with_context(|| format!("cannot make {}", data.display()))
}

/// A directory in the shape of a server's, made once for each version, user and machine: copying it takes a tenth of
/// the time that `initdb` does. It is private to this user, and so is the password in it.
fn template(bin: &Path, account: &Account) -> Result<PathBuf> {
    let cache = private_cache()?;
    let version = run(Command::new(bin.join("postgres")).arg("--version"))?;
    let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    let template = cache.join(format!("{version}-{TEMPLATE_FORMAT}"));
    let lock = File::create(cache.join("lock")).context("cannot make the lock of the template")?;
    lock.lock().context("cannot take the lock of the template")?;
    if !template.exists() {
        let fresh = tempfile::Builder::new().prefix("huddle-postgres-template-").tempdir()?;
        account.give(fresh.path())?;
        initialise(bin, account, fresh.path(), &["--no-sync"])?;
        fs::rename(fresh.keep(), &template).context("cannot keep the template of a data directory")?;
    }
    Ok(template)
}

/// A directory below the system's temporary one that is ours alone. Its name can be guessed, so somebody else may have
/// made it: then it is refused.
fn private_cache() -> Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let path = std::env::temp_dir().join(format!("huddle-devstack-{user}"));
    // It may well exist; what counts is what it is.
    let made = DirBuilder::new().mode(0o700).create(&path);
    let metadata = fs::symlink_metadata(&path).or_else(|error| made.and(Err(error)));
    let metadata = metadata.with_context(|| format!("cannot make {}", path.display()))?;
    if !metadata.is_dir() || metadata.uid() != user || metadata.permissions().mode() & 0o077 != 0 {
        bail!("{} is not a directory that only this user can open: remove it", path.display());
    }
    Ok(path)
}

fn copy(from: &Path, to: &Path, account: &Account) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            DirBuilder::new().mode(0o700).create(&target)?;
            copy(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
        account.give(&target)?;
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a program to its end, which is also this program's end: what is left of an `initdb` would remove the directory of
/// the next one.
fn run(command: &mut Command) -> Result<String> {
    let program = Path::new(command.get_program()).display().to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let watchdog = Watchdog::over(child.id(), Signal::Kill).context("cannot start the watchdog of a child")?;
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {program}"))?;
    drop(watchdog);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {said}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
