//! Owns where a server keeps its data: a directory that stays, or one that goes with the server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) enum DataDir {
    /// Removed when dropped, which must be after the server that uses it.
    Temporary(TempDir),
    Kept(PathBuf),
}

impl DataDir {
    /// Uses `kept`, made if needed, or makes a temporary directory whose name begins with `prefix`. Paths are absolute.
    pub(crate) fn prepare(kept: Option<&Path>, prefix: &str) -> Result<Self> {
        let Some(path) = kept else {
            let directory = tempfile::Builder::new().prefix(prefix).tempdir();
            return Ok(Self::Temporary(directory.context("cannot make a temporary directory")?));
        };
        fs::create_dir_all(path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        Ok(Self::Kept(path))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }
}
