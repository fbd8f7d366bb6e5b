//! Owns the question which user a server runs as that refuses root, or should not be root.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const NOBODY: &str = "nobody";

/// The ids of `nobody` where the system does not name that user.
const NOBODY_IDS: (u32, u32) = (65_534, 65_534);

/// Either lets a process reach files below directories that are closed to it. The first allows reading only; some
/// containers grant only the second.
const CAPABILITIES: [&str; 2] = ["dac_read_search", "dac_override"];

/// The user that a server's programs run as.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// Whoever runs this program.
    Own,
    /// `nobody`, instead of root; with a capability where directories are closed to `nobody`.
    Nobody { uid: u32, gid: u32, capability: Option<&'static str> },
}

impl Account {
    /// Chooses the user that can run `program`, the server's own, with its data in `directory`, and gives it `directory`.
    pub(crate) fn choose(program: &Path, directory: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let (uid, gid) = nobody();
        let choices = [None, Some(CAPABILITIES[0]), Some(CAPABILITIES[1])];
        for capability in choices {
            let account = Self::Nobody { uid, gid, capability };
            if account.can_use(program, directory)? {
                return Ok(account);
            }
        }
        bail!(
            "this server does not run as root, and as the user {NOBODY} it cannot reach {} and {}: move the checkout and \
             the data directory out of directories that only root may enter, or run this as an ordinary user",
            program.display(),
            directory.display()
        )
    }

    /// A command that runs as this user, from the root directory: the current one may be closed to it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Own => Command::new(program),
            // Changing the ids here also drops root's supplementary groups.
            Self::Nobody { uid, gid, capability: None } => {
                let mut command = Command::new(program);
                command.uid(*uid).gid(*gid);
                command
            }
            Self::Nobody { uid, gid, capability: Some(capability) } => {
                let mut command = Command::new("setpriv");
                // Without this, access(2), which Postgres asks about its own files, ignores the capability.
                command.arg("--securebits=+no_setuid_fixup");
                command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups"]);
                command.args([&format!("--inh-caps=+{capability}"), &format!("--ambient-caps=+{capability}")]);
                command.arg("--").arg(program);
                command
            }
        };
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// Gives one file or directory to this user.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Nobody { uid, gid, .. } => chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("cannot give {} to {NOBODY}", path.display())),
        }
    }

    fn can_use(&self, program: &Path, directory: &Path) -> Result<bool> {
        self.give(directory)?;
        let script = r#""$1" --version && test -w "$2""#;
        let mut probe = self.command(Path::new("/bin/sh"));
        probe.args(["-c", script, "probe"]).arg(program).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        // An error is a missing setpriv: as good as a no.
        Ok(probe.status().is_ok_and(|status| status.success()))
    }
}

fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find_map(|line| line.strip_prefix(NOBODY)?.strip_prefix(':'));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.unwrap_or(NOBODY_IDS)
}
