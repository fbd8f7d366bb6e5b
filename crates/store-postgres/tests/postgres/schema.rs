//! The schema: made, checked, and refused where it is not this version's.

use std::borrow::Cow;

use huddle_domain::{Event, Seq};
use huddle_service::config::Secret;
use huddle_store::{EventStore as _, PartitionStore as _, StoreError};
use huddle_store_postgres::{Config, PostgresStore, migrate};
use sqlx::migrate::Migrator;
use tokio::task::JoinSet;

use crate::support::{Database, P0, batch, posted, team};

/// The problem and the remedy that an operator gets to read.
fn unsuitable(error: &StoreError) -> String {
    assert!(matches!(error, StoreError::Unsuitable { .. }) && !error.is_retryable(), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_missing_schema_is_refused_with_what_to_run() {
    let database = Database::empty().await;
    let error = PostgresStore::connect(&database.config).await.unwrap_err();
    assert!(unsuitable(&error).contains("run `huddle migrate`"), "{error}");
    // Nothing else works either, nor claims that it does.
    let store = PostgresStore::new(&database.config).unwrap();
    assert!(unsuitable(&store.claim(P0).await.unwrap_err()).contains("run `huddle migrate`"));
    assert!(unsuitable(&store.progress(P0).await.unwrap_err()).contains("run `huddle migrate`"));
}

#[tokio::test]
async fn migrating_again_and_at_the_same_time_changes_nothing() {
    let database = Database::empty().await;
    let mut migrations = JoinSet::new();
    for _ in 0..4 {
        let config = database.config.clone();
        migrations.spawn(async move { migrate(&config).await.unwrap() });
    }
    let versions = migrations.join_all().await;
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    assert_eq!(migrate(&database.config).await.unwrap(), versions[0]);
    database.store().await.check().await.unwrap();
}

/// What was stored before messages had tags stays, and what comes has them.
#[tokio::test]
async fn an_older_schema_is_refused_until_it_is_migrated_and_keeps_its_rows() {
    const OLD_SCHEMA: i64 = 20_260_301_090_000;
    let database = Database::empty().await;
    let all = sqlx::migrate!();
    let old = all.iter().filter(|migration| migration.version <= OLD_SCHEMA).cloned().collect();
    let old = Migrator { migrations: Cow::Owned(old), ..all };
    old.run_direct(None, &mut database.connection().await, false).await.unwrap();
    database
        .execute(
            "INSERT INTO events (team_id, seq, time_ms, sender_id, client_id, kind, body)
             VALUES ('a', 1, 1700000000000, 'ann', 'c1', 'posted', 'message 1')",
        )
        .await;
    let error = PostgresStore::connect(&database.config).await.unwrap_err();
    assert!(unsuitable(&error).contains("run `huddle migrate`"), "{error}");

    migrate(&database.config).await.unwrap();
    let store = database.store().await;
    store.claim(P0).await.unwrap().unwrap().apply(batch("a", [2])).await.unwrap();
    let events = store.list_events(&team("a"), Seq::ZERO, 10, None).await.unwrap().items;
    assert_eq!(events, [posted("a", 1), Event { prev_seq: Seq::new(1), ..posted("a", 2) }]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_at_a_start_and_good_for_those_that_work_already() {
    let database = Database::migrated().await;
    let working = database.store().await;
    database
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99990101000000, 'from the future', true, '\\x00', 0)",
        )
        .await;
    let error = PostgresStore::connect(&database.config).await.unwrap_err();
    assert!(unsuitable(&error).contains("newer version of huddle"), "{error}");
    assert!(unsuitable(&migrate(&database.config).await.unwrap_err()).contains("newer version of huddle"));
    for _ in 0..2 {
        working.check().await.unwrap();
    }
    working.claim(P0).await.unwrap().unwrap().apply(batch("a", [1])).await.unwrap();

    database.execute("DELETE FROM _sqlx_migrations WHERE version > (SELECT min(version) FROM _sqlx_migrations)").await;
    assert!(unsuitable(&working.check().await.unwrap_err()).contains("run `huddle migrate`"));
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let database = Database::migrated().await;
    database.execute("UPDATE _sqlx_migrations SET checksum = '\\x00'").await;
    let error = migrate(&database.config).await.unwrap_err();
    assert!(unsuitable(&error).contains("is not the one that this version knows"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_explained_without_secrets() {
    let database = Database::empty().await;
    let port = database.server.port();
    let with =
        |url: String| Config { url: Secret::new(url), acquire_timeout: super::faults::SOON, ..Config::default() };
    let url = |credentials: &str, port: u16, name: &str| format!("postgres://{credentials}@127.0.0.1:{port}/{name}");
    let own_url = database.config.url.expose();
    let own_credentials = own_url.trim_start_matches("postgres://").split('@').next().unwrap();
    let closed_port = huddle_devstack::free_port().unwrap();
    let cases = [
        (url(own_credentials, port, "not-there"), "create it"),
        (url("huddle:s3cret-password", port, "huddle_test"), "refuses the user or the password"),
        (url("huddle:s3cret-password", closed_port, "huddle_test"), "cannot be reached"),
        ("not a url with s3cret-password".to_owned(), "postgres://user:password@host:port/database"),
        (url("huddle:s3cret-password", port, "huddle_test?sslmode=s3cret-password"), "postgres://user"),
    ];
    for (url, expected) in cases {
        let config = with(url);
        let error = match PostgresStore::new(&config) {
            Ok(store) => {
                let shown = format!("{store:?}");
                assert!(!shown.contains("s3cret"), "{shown}");
                store.check().await.unwrap_err()
            }
            Err(error) => error,
        };
        assert!(error.to_string().contains(expected), "{error}");
        let everything = format!("{error:?} {config:?}");
        assert!(!everything.contains("s3cret") && !everything.contains(own_credentials), "{everything}");
    }
}
