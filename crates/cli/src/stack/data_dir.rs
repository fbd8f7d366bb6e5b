//! What stays between two runs: the lock, the secrets, the ports, and where everything else lies.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::ports::Ports;

/// The cluster stack's own part of the data directory.
const CLUSTER: &str = "cluster";
const LOCK: &str = "up.lock";
pub(super) const SECRETS: &str = "secrets.json";
pub(super) const STATE: &str = "state.json";
/// Bytes of a random secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// Only its owner reads and writes a file with secrets.
const PRIVATE: u32 = 0o600;

/// The data directory, held by this process alone until dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// Random, made once, never printed.
#[derive(Serialize, Deserialize)]
pub(super) struct Secrets {
    pub(super) user_secret: String,
    pub(super) service_token: String,
}

/// What the next start wants to find again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) nats_port: Option<u16>,
    pub(super) postgres_port: Option<u16>,
    pub(super) ports: Ports,
    pub(super) demo_created: bool,
}

impl DataDir {
    /// Makes the directory if needed and takes it for this process.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let root = data_dir.join(CLUSTER);
        fs::create_dir_all(&root).with_context(|| format!("cannot make the data directory {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("cannot resolve {}", root.display()))?;
        let path = root.join(LOCK);
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The other process may not have written it yet.
                let _ = lock.read_to_string(&mut pid);
                return Err(anyhow!(
                    "another `huddle up` (pid {}) uses {}: stop it first, or choose another --data-dir",
                    pid.trim(),
                    root.display()
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .context("cannot write the lock file")?;
        Ok(Self { root, _lock: lock })
    }

    /// The cluster stack's own directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A place in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The secrets of this data; made at the first call.
    pub(super) fn secrets(&self) -> Result<Secrets> {
        let path = self.path(SECRETS);
        if path.exists() {
            return read_private_json(&path);
        }
        let secrets = Secrets { user_secret: random_secret(), service_token: random_secret() };
        write_private(&path, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }

    /// What the last start left; the default at the first one.
    pub(super) fn state(&self) -> Result<State> {
        let path = self.path(STATE);
        if path.exists() { read_json(&path) } else { Ok(State::default()) }
    }

    pub(super) fn keep_state(&self, state: &State) -> Result<()> {
        write_private(&self.path(STATE), &serde_json::to_vec_pretty(state)?)
    }
}

/// A new secret: letters, digits, `-` and `_`.
pub(super) fn random_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// As [`read_json`], of a file that nobody but its owner may have read.
pub(super) fn read_private_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !PRIVATE != 0 {
        let path = path.display();
        return Err(anyhow!(
            "other users may have read the secrets in {path} (mode {mode:03o}): remove it, and the next start makes new ones \
             that end all tokens made before; or, if nobody has, run `chmod 600 {path}`"
        ));
    }
    read_json(path)
}

pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("new");
    let write = || {
        // What a killed run left could have other permissions.
        if unfinished.exists() {
            fs::remove_file(&unfinished)?;
        }
        let mut file = File::options().write(true).create_new(true).mode(PRIVATE).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_user_and_keeps_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");

        let secrets = first.secrets().unwrap();
        assert!(secrets.user_secret.len() >= huddle_auth::SECRET_BYTES_MIN);
        assert_ne!(secrets.user_secret, secrets.service_token);
        let mode = fs::metadata(first.path(SECRETS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        drop(first);

        let second = DataDir::open(folder.path()).unwrap();
        assert_eq!(second.secrets().unwrap().user_secret, secrets.user_secret);
    }

    #[test]
    fn state_survives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        let mut state = data_dir.state().unwrap();
        assert!(!state.demo_created);
        state.demo_created = true;
        state.nats_port = Some(4_222);
        data_dir.keep_state(&state).unwrap();
        let state = data_dir.state().unwrap();
        assert!(state.demo_created && state.nats_port == Some(4_222));
    }
}
