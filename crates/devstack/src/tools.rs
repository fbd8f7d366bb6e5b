//! Owns where the server binaries and the tests' own tools are found.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const NATS_VARIABLE: &str = "HUDDLE_NATS_SERVER";
const POSTGRES_VARIABLE: &str = "HUDDLE_POSTGRES_BIN";
const CHROMIUM_VARIABLE: &str = "HUDDLE_CHROMIUM";
const FAKETIME_VARIABLE: &str = "HUDDLE_FAKETIME";
const MARIADB_VARIABLE: &str = "HUDDLE_MARIADB_BIN";

/// The binaries of this machine: those that the environment names (`HUDDLE_NATS_SERVER`, a file, and
/// `HUDDLE_POSTGRES_BIN` and `HUDDLE_MARIADB_BIN`, directories), or else those that `cargo xtask tools` put into
/// `.tools/`.
#[derive(Clone, Debug)]
pub struct Tools {
    directory: Option<PathBuf>,
    nats_server: Option<PathBuf>,
    postgres_bin: Option<PathBuf>,
    mariadb_bin: Option<PathBuf>,
}

impl Tools {
    /// Looks at the environment, then for a `.tools` directory upwards from the crate under test
    /// (`CARGO_MANIFEST_DIR`), the current directory and this program's own file.
    ///
    /// # Errors
    /// When there is neither; the error says what to run. A single missing tool is reported by its own method.
    pub fn locate() -> Result<Self> {
        let directory = find_tools();
        let (nats_server, postgres_bin) = (from_environment(NATS_VARIABLE)?, from_environment(POSTGRES_VARIABLE)?);
        if directory.is_none() && nats_server.is_none() && postgres_bin.is_none() {
            bail!(
                "there is no .tools directory here: run `cargo xtask tools` in the checkout, or name binaries with \
                 {NATS_VARIABLE} and {POSTGRES_VARIABLE}"
            );
        }
        let mariadb_bin = from_environment(MARIADB_VARIABLE)?;
        Ok(Self { directory, nats_server, postgres_bin, mariadb_bin })
    }

    /// The `nats-server` to use.
    pub fn nats_server(&self) -> Result<PathBuf> {
        match &self.nats_server {
            Some(path) => Ok(path.clone()),
            None => self.file("bin/nats-server", "cargo xtask tools"),
        }
    }

    /// A `nats-server` that is too old for Huddle (2.10), for the test that it is refused.
    pub fn nats_server_old(&self) -> Result<PathBuf> {
        self.file("bin/nats-server-old", "cargo xtask tools --tests")
    }

    /// The directory with `initdb`, `postgres` and the rest.
    pub fn postgres_bin(&self) -> Result<PathBuf> {
        if let Some(path) = &self.postgres_bin {
            return Ok(path.clone());
        }
        // The binaries find their libraries relative to where they really are, so the link is followed.
        let postgres = self.file("bin/postgres", "cargo xtask tools")?.canonicalize()?;
        Ok(postgres.parent().map(Path::to_owned).unwrap_or_default())
    }

    /// The MariaDB server, for tests.
    pub fn mariadbd(&self) -> Result<PathBuf> {
        match &self.mariadb_bin {
            Some(bin) => Ok(bin.join("mariadbd")),
            None => self.file("bin/mariadbd", "cargo xtask tools --tests"),
        }
    }

    /// The directory with what belongs to [`Tools::mariadbd`]: `bin`, `lib` and `share`.
    pub(crate) fn mariadb_root(&self) -> Result<PathBuf> {
        match &self.mariadb_bin {
            Some(bin) => Ok(bin.parent().map(Path::to_owned).unwrap_or_default()),
            None => self.file("mariadb/usr", "cargo xtask tools --tests"),
        }
    }

    /// A Python interpreter that has the packages of `xtask/pins/requirements.txt`.
    pub fn python(&self) -> Result<PathBuf> {
        self.file("python/bin/python", "cargo xtask tools --tests")
    }

    /// The Chromium to use: `HUDDLE_CHROMIUM`, a file, or else the one among the fetched tools.
    pub fn chromium(&self) -> Result<PathBuf> {
        match from_environment(CHROMIUM_VARIABLE)? {
            Some(path) => Ok(path),
            None => self.file("bin/chromium", "cargo xtask tools --tests"),
        }
    }

    /// The library that gives a program another clock, for `LD_PRELOAD`: `HUDDLE_FAKETIME`, a file, or else the one among
    /// the fetched tools. It is libfaketime for programs with threads.
    pub fn faketime(&self) -> Result<PathBuf> {
        match from_environment(FAKETIME_VARIABLE)? {
            Some(path) => Ok(path),
            None => self.file("lib/libfaketimeMT.so.1", "cargo xtask tools --tests"),
        }
    }

    /// The `node_modules` directory with the packages of `xtask/pins/package.json`, for `NODE_PATH`.
    pub fn node_modules(&self) -> Result<PathBuf> {
        self.file("node/node_modules", "cargo xtask tools --tests")
    }

    fn file(&self, name: &str, fetch: &str) -> Result<PathBuf> {
        let path = self.directory.as_ref().map(|directory| directory.join(name));
        match path.filter(|path| path.exists()) {
            Some(path) => Ok(path),
            None => bail!("{name} is not among the fetched tools: run `{fetch}` in the checkout"),
        }
    }
}

fn from_environment(variable: &str) -> Result<Option<PathBuf>> {
    let Some(value) = env::var_os(variable) else { return Ok(None) };
    match PathBuf::from(&value).canonicalize() {
        Ok(path) => Ok(Some(path)),
        Err(error) => bail!("{variable} names {}: {error}", value.display()),
    }
}

fn find_tools() -> Option<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts = [manifest, env::current_dir().ok(), env::current_exe().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    above.map(|directory| directory.join(".tools")).find(|tools| tools.is_dir())
}
