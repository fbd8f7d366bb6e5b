//! Owns the schema: the embedded migrations, and whether a database has been brought to this version.

use std::sync::atomic::Ordering;

use huddle_store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};

use crate::{
    Config, PostgresStore,
    connect::Connector,
    error::{broken, schema_is_missing, store_error},
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Brings the database to this version's schema and returns its version. Safe to run again, and from several processes
/// at once: one of them does the work while the others wait.
///
/// # Errors
/// [`StoreError::Unsuitable`] when the schema is newer than this version, or was changed by someone else.
pub async fn migrate(config: &Config) -> Result<i64, StoreError> {
    const CONTEXT: &str = "migrating the schema";
    let mut connection = Connector::new(config)?.connect_unlimited(CONTEXT).await?;
    MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => store_error(CONTEXT, source),
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => StoreError::Unsuitable {
            problem: format!("migration {version} of the database is not the one that this version knows"),
            remedy: "use the version of huddle that made the schema, or a database of its own".to_owned(),
        },
        error => broken(CONTEXT, error),
    })?;
    Ok(newest_known())
}

pub(crate) const NEWEST_APPLIED: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";

/// Whether the store answers and its newest migration is the newest that this version knows: for a start.
pub(crate) async fn check_for_start(store: &PostgresStore) -> Result<(), StoreError> {
    match newest_applied(store).await? {
        version if version > newest_known() => Err(newer(version)),
        version => not_older(version),
    }
}

/// Whether the store answers and has all migrations that this version knows: for a process that works already. While a
/// newer version takes the place of this one, it has brought the schema on already, and migrations let the version before
/// work on.
pub(crate) async fn check(store: &PostgresStore) -> Result<(), StoreError> {
    let version = newest_applied(store).await?;
    if version > newest_known() && !store.has_told_newer.swap(true, Ordering::Relaxed) {
        let known = newest_known();
        tracing::warn!(
            version,
            known,
            "the schema is newer than this version of huddle, which cannot start again with it"
        );
    }
    not_older(version)
}

async fn newest_applied(store: &PostgresStore) -> Result<i64, StoreError> {
    let newest_applied = sqlx::query_scalar::<_, Option<i64>>(NEWEST_APPLIED).fetch_one(&store.pool);
    store.connector.read("checking the schema", newest_applied).await?.ok_or_else(schema_is_missing)
}

fn not_older(version: i64) -> Result<(), StoreError> {
    if version >= newest_known() {
        return Ok(());
    }
    Err(StoreError::Unsuitable {
        problem: format!("the schema is at version {version}, this version of huddle needs {}", newest_known()),
        remedy: "run `huddle migrate`".to_owned(),
    })
}

pub(crate) fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn newer(version: i64) -> StoreError {
    StoreError::Unsuitable {
        problem: format!("the schema is at version {version}, this version of huddle knows {} only", newest_known()),
        remedy: "use the newer version of huddle that made the schema".to_owned(),
    }
}
