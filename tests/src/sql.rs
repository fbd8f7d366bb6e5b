//! Owns looks into Postgres that go past Huddle: through psql.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

/// A database that psql reads.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) psql: PathBuf,
    pub(crate) url: String,
}

impl Database {
    /// The rows of `query`; a column's name is a field's.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        // One line of JSON, so that no text in a row can be taken for the end of it.
        let query = format!("SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({query}) q");
        let json = self.execute(&query).await?;
        serde_json::from_str(&json).with_context(|| format!("the rows of {query} do not fit"))
    }

    /// Runs `statement`; returns what psql prints.
    pub(crate) async fn execute(&self, statement: &str) -> Result<String> {
        let mut psql = tokio::process::Command::new(&self.psql);
        psql.args([self.url.as_str(), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "-Atc", statement]);
        let output = psql.kill_on_drop(true).output().await.context("cannot start psql")?;
        if !output.status.success() {
            bail!("psql: {statement}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
