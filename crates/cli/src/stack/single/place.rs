//! Where one process keeps what it keeps: the directory, the secret, and what the next start wants to find again.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::addresses::Ports;
use crate::stack::data_dir::{SECRETS, STATE, random_secret, read_json, read_private_json, write_private};

/// A file system in memory, where the system has one.
const MEMORY: &str = "/dev/shm";
/// What the names of directories that are not kept begin with.
const PREFIX: &str = "huddle-";

/// A directory for the data. Only the process that has the file in it open calls more than
/// [`directory`](Self::directory).
#[derive(Debug)]
pub(crate) enum Place {
    /// Stays.
    Kept(PathBuf),
    /// Is removed with this value.
    Memory(TempDir),
}

/// What the next start wants to find again.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) ports: Ports,
    pub(super) demo_created: bool,
}

#[derive(Serialize, Deserialize)]
struct Secrets {
    user_secret: String,
}

impl Place {
    /// `directory`, which need not exist.
    pub(crate) const fn kept(directory: PathBuf) -> Self {
        Self::Kept(directory)
    }

    /// A new directory for this process alone: in memory, or where temporary files are.
    pub(crate) fn memory() -> Result<Self> {
        let make = |parent: &Path| tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent);
        let directory = make(Path::new(MEMORY)).or_else(|_| make(&env::temp_dir()));
        Ok(Self::Memory(directory.context("cannot make a directory for temporary data; set TMPDIR to a place for it")?))
    }

    pub(super) fn directory(&self) -> &Path {
        match self {
            Self::Kept(directory) => directory,
            Self::Memory(directory) => directory.path(),
        }
    }

    /// The secret that signs tokens; made at the first call.
    pub(super) fn secret(&self) -> Result<String> {
        let path = self.directory().join(SECRETS);
        if path.exists() {
            return Ok(read_private_json::<Secrets>(&path)?.user_secret);
        }
        let secrets = Secrets { user_secret: random_secret() };
        write_private(&path, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets.user_secret)
    }

    /// The secret in `directory`, which another process may be using.
    pub(crate) fn secret_in(directory: &Path) -> Result<String> {
        let path = directory.join(SECRETS);
        ensure!(path.exists(), "there is no {}: `huddle up` makes it, unless `auth.secret` is set", path.display());
        Ok(read_private_json::<Secrets>(&path)?.user_secret)
    }

    /// What the last start left; the default at the first one.
    pub(super) fn state(&self) -> Result<State> {
        let path = self.directory().join(STATE);
        if path.exists() { read_json(&path) } else { Ok(State::default()) }
    }

    pub(super) fn keep_state(&self, state: &State) -> Result<()> {
        write_private(&self.directory().join(STATE), &serde_json::to_vec_pretty(state)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::kept(folder.path().to_owned());
        let secret = place.secret().unwrap();
        assert!(secret.len() >= huddle_auth::SECRET_BYTES_MIN);
        assert_eq!(place.secret().unwrap(), secret);
        assert_eq!(Place::secret_in(folder.path()).unwrap(), secret);

        let path = folder.path().join(SECRETS);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = place.secret().unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains(&secret), "{error}");
    }

    #[test]
    fn nothing_is_left_of_a_directory_in_memory() {
        let place = Place::memory().unwrap();
        place.secret().unwrap();
        let directory = place.directory().to_owned();
        assert!(directory.exists());
        drop(place);
        assert!(!directory.exists());
    }
}
