//! Owns a real Postgres and a real MariaDB, filled with LabelLab's tables, and what their own exports make of these.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use huddle_devstack::{MariaDb, Postgres, PostgresOptions, Tools};
use tempfile::TempDir;

use crate::made::{Made, TABLES};

pub(crate) struct Databases {
    postgres: Postgres,
    mariadb: MariaDb,
    psql: PathBuf,
    exports: TempDir,
}

impl Databases {
    pub(crate) async fn start() -> Result<Self> {
        let tools = Tools::locate()?;
        let (postgres, mariadb) =
            tokio::try_join!(Postgres::start(&tools, PostgresOptions::for_tests()), MariaDb::start(&tools))?;
        Ok(Self { postgres, mariadb, psql: tools.postgres_bin()?.join("psql"), exports: tempfile::tempdir()? })
    }

    pub(crate) fn mysql_url(&self, name: &str) -> String {
        self.mariadb.url_of(name)
    }

    pub(crate) fn postgres_url(&self, name: &str) -> String {
        self.postgres.url_of(name)
    }

    /// Makes the database `name` and fills it. Returns its URL.
    pub(crate) async fn fill_mysql(&self, name: &str, made: &Made) -> Result<String> {
        self.mariadb.execute("mysql", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await?;
        self.mariadb.execute(name, &fs::read_to_string(made.path("mysql.sql"))?).await?;
        Ok(self.mysql_url(name))
    }

    /// As [`Databases::fill_mysql`].
    pub(crate) async fn fill_postgres(&self, name: &str, made: &Made) -> Result<String> {
        let url = self.postgres.create_database(name).await?;
        self.psql(name, &["--file", &made.path("postgres.sql").display().to_string()]).await?;
        Ok(url)
    }

    pub(crate) async fn mysql(&self, name: &str, script: &str) -> Result<String> {
        self.mariadb.execute(name, script).await
    }

    pub(crate) async fn postgres(&self, name: &str, script: &str) -> Result<()> {
        self.psql(name, &["--command", script]).await
    }

    /// What MySQL's `INTO OUTFILE` makes of the tables.
    pub(crate) async fn mysql_outfiles(&self, name: &str) -> Result<String> {
        // The server writes them itself, as another user.
        let directory = self.mariadb.data_dir().join("data").join(format!("exports-{name}"));
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
        for table in TABLES {
            let columns = format!(
                "SELECT group_concat(column_name ORDER BY ordinal_position) FROM information_schema.columns
                WHERE table_schema = '{name}' AND table_name = '{table}'"
            );
            let columns = self.mariadb.execute(name, &columns).await?;
            let columns: Vec<&str> = columns.lines().nth(1).context("a table without columns")?.split(',').collect();
            let names: Vec<_> = columns.iter().map(|column| format!("'{column}'")).collect();
            let quoted: Vec<_> = columns.iter().map(|column| format!("`{column}`")).collect();
            let statement = format!(
                "SELECT {} UNION ALL SELECT {} FROM `{table}` INTO OUTFILE '{}' CHARACTER SET utf8mb4
                FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'",
                names.join(", "),
                quoted.join(", "),
                directory.join(format!("{table}.csv")).display(),
            );
            self.mariadb.execute(name, &statement).await?;
        }
        Ok(directory.display().to_string())
    }

    /// What psql's `\copy` makes of the tables; `format` is one of Postgres's.
    pub(crate) async fn postgres_copies(&self, name: &str, format: &str) -> Result<String> {
        let directory = self.exports.path().join(format!("{name}-{format}"));
        fs::create_dir(&directory)?;
        for table in TABLES {
            let file = directory.join(format!("{table}.csv"));
            let copy = format!(r#"\copy "{table}" TO '{}' WITH (FORMAT {format}, HEADER)"#, file.display());
            self.psql(name, &["--command", &copy]).await?;
        }
        Ok(directory.display().to_string())
    }

    async fn psql(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let mut psql = tokio::process::Command::new(&self.psql);
        psql.args([&self.postgres_url(name), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]).args(arguments);
        let output =
            psql.env("PGCLIENTENCODING", "UTF8").kill_on_drop(true).output().await.context("cannot start psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
