//! Owns the schema: the embedded migrations, and whether a database has been brought to this version.

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

/// Whether the store answers and its newest migration is the newest that this version knows.
pub(crate) async fn check(store: &PostgresStore) -> Result<(), StoreError> {
    let newest_applied = sqlx::query_scalar::<_, Option<i64>>(NEWEST_APPLIED).fetch_one(&store.pool);
    match store.connector.read("checking the schema", newest_applied).await? {
        None => Err(schema_is_missing()),
        Some(version) if version > newest_known() => Err(newer(version)),
        Some(version) if version < newest_known() => Err(StoreError::Unsuitable {
            problem: format!("the schema is at version {version}, this version of huddle needs {}", newest_known()),
            remedy: "run `huddle migrate`".to_owned(),
        }),
        Some(_) => Ok(()),
    }
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
