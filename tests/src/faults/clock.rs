//! Owns clocks that are wrong: the calendar's only. What measures how long something takes goes on as ever.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, Result};
use huddle_devstack::Tools;
use tempfile::TempDir;

/// How long a process may go by a shift that is out of date.
const CACHE_SECONDS: u32 = 1;

/// A clock for processes that are started with its environment, which can be set while they run. It must outlive them.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    // Open to other users: Postgres may be one.
    directory: TempDir,
}

impl Clock {
    /// A clock that is right, until it is shifted.
    pub fn new() -> Result<Self> {
        let library = Tools::locate()?.faketime()?;
        let directory = tempfile::Builder::new().prefix("huddle-clock-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let clock = Self { library, directory };
        clock.shift("+0")?;
        Ok(clock)
    }

    /// What makes a process go by this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_CACHE_DURATION", CACHE_SECONDS.to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Makes the clock so much fast or slow, as against the right time: `+90d`, `-10m`, `+1h`, `+0`. Processes notice
    /// within some two seconds.
    pub fn shift(&self, shift: &str) -> Result<()> {
        // Nobody reads half of it.
        let fresh = self.directory.path().join("fresh");
        fs::write(&fresh, format!("{shift}\n")).context("cannot set a clock")?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644))?;
        fs::rename(&fresh, self.file()).context("cannot set a clock")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("shift")
    }
}
