//! Owns looks into a database that go past Huddle: into Postgres through psql, into the embedded file through Python's
//! own SQLite.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use huddle_devstack::Tools;
use serde::de::DeserializeOwned;
use tokio::process::Command;

/// Prints the rows of a query as JSON. Arguments: the file, the query. It cannot write.
const READ_FILE: &str = "\
import json, pathlib, sqlite3, sys
file = sqlite3.connect(pathlib.Path(sys.argv[1]).absolute().as_uri() + '?mode=ro', uri=True, timeout=30)
file.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in file.execute(sys.argv[2])]))";

/// A database to look into.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// The store of a cluster.
    Postgres { psql: PathBuf, url: String },
    /// Log and store of one process.
    File { python: Vec<OsString>, path: PathBuf },
}

impl Database {
    /// The database at `url`.
    pub(crate) fn at_url(tools: &Tools, url: String) -> Result<Self> {
        Ok(Self::Postgres { psql: tools.postgres_bin()?.join("psql"), url })
    }

    /// The file in the data directory `directory`, looked into through the command `wrapper`, if it is not empty.
    pub(crate) fn in_directory(directory: &Path, wrapper: &[OsString]) -> Result<Self> {
        let python = Tools::locate()?.python()?.into_os_string();
        let python = wrapper.iter().cloned().chain([python]).collect();
        Ok(Self::File { python, path: directory.join("huddle.db") })
    }

    /// What tells rows of `events` that are stored from those that are in the log only.
    pub(crate) const fn is_stored(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "true",
            Self::File { .. } => "seq <= (SELECT p.seq FROM log_progress p WHERE p.partition = events.partition)",
        }
    }

    /// The rows of `query`; a column's name is a field's.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        let json = match self {
            Self::Postgres { psql, url } => {
                // One line of JSON, so that no text in a row can be taken for the end of it.
                let query = format!("SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({query}) q");
                let mut psql = Command::new(psql);
                psql.args([url.as_str(), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "-Atc", query.as_str()]);
                output_of(psql, &query).await?
            }
            Self::File { python, path } => {
                let mut reader = Command::new(&python[0]);
                reader.args(&python[1..]).args(["-c", READ_FILE]).arg(path).arg(query);
                output_of(reader, query).await?
            }
        };
        serde_json::from_str(&json).with_context(|| format!("the rows of {query} do not fit"))
    }
}

async fn output_of(mut command: Command, query: &str) -> Result<String> {
    let program = command.as_std().get_program().display().to_string();
    let output = command.kill_on_drop(true).output().await.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program}: {query}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
