//! A Postgres that is there and does not do what it is asked: nothing is lost, and nothing is put aside.

use std::time::Duration;

use huddle_domain::Seq;
use huddle_store::{PartitionStore as _, StoreError, conformance::Fixture as _};
use huddle_store_postgres::{Config, PostgresStore};
use sqlx::Connection as _;

use crate::support::{Database, P0, batch, eventually, posted, stored, team};

/// A bound for what is about to fail.
pub(crate) const SOON: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(20);

/// The failure passes: no dead letter, and the same batch is stored once it has passed.
async fn assert_batch_waits(database: &Database, store: &PostgresStore, error: StoreError, seq: u64) {
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(database.dead_letters(P0).await, []);
    let mut claim = None;
    eventually(PATIENCE, async || {
        claim = store.claim(P0).await.unwrap();
        claim.is_some()
    })
    .await;
    assert_eq!(claim.unwrap().apply(batch("a", [seq])).await.unwrap().stored, 1);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_puts_nothing_aside() {
    let database = Database::migrated().await;
    let config = Config { statement_timeout: SOON, ..database.config.clone() };
    let store = PostgresStore::connect(&config).await.unwrap();
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    let mut operator = database.connection().await;
    let mut transaction = operator.begin().await.unwrap();
    sqlx::query("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    let error = writer.apply(batch("a", [1])).await.unwrap_err();
    transaction.rollback().await.unwrap();
    drop(writer);
    assert_batch_waits(&database, &store, error, 1).await;
}

#[tokio::test]
async fn a_read_only_database_puts_nothing_aside() {
    let database = Database::migrated().await;
    let store = database.store().await;
    drop(store.claim(P0).await.unwrap().unwrap());
    database.execute("ALTER DATABASE huddle_test SET default_transaction_read_only = on").await;
    let error = match store.claim(P0).await {
        Ok(claim) => claim.unwrap().apply(batch("a", [1])).await.unwrap_err(),
        Err(error) => error,
    };
    database.execute("START TRANSACTION READ WRITE; ALTER DATABASE huddle_test RESET ALL; COMMIT").await;
    assert_batch_waits(&database, &store, error, 1).await;
}

#[tokio::test]
async fn too_many_connections_are_waited_for() {
    let database = Database::with_settings(&[("max_connections", "4"), ("superuser_reserved_connections", "0")]).await;
    let config = Config { acquire_timeout: SOON, ..database.config.clone() };
    let store = PostgresStore::new(&config).unwrap();
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(database.connection().await);
    }
    for error in [store.check().await.unwrap_err(), store.claim(P0).await.unwrap_err()] {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    }
    drop(taken);
    eventually(PATIENCE, async || store.check().await.is_ok()).await;
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_is_named_without_its_content() {
    let database = Database::migrated().await;
    let store = database.store().await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    writer.apply(batch("a", [1, 2])).await.unwrap();
    database.execute("ALTER TABLE events DROP CONSTRAINT events_complete").await;
    let page = async || huddle_store::EventStore::list_events(&store, &team("a"), Seq::ZERO, 10).await;
    for (damage, column) in [
        ("kind = 'from_the_future'", "kind"),
        ("kind = 'posted', body = NULL", "body"),
        ("body = repeat('x', 4001)", "body"),
        ("body = 'message 2', mentions = ARRAY['bob', NULL]", "mentions"),
        ("mentions = NULL, entity_kind = 'a message', entity_id = '1'", "entity_kind"),
        ("entity_kind = NULL, entity_id = NULL, client_id = 'a.b'", "client_id"),
    ] {
        database.execute(&format!("UPDATE events SET {damage} WHERE seq = 2")).await;
        let error = page().await.unwrap_err();
        assert!(matches!(&error, StoreError::Broken { .. }), "{error:?}");
        let everything = format!("{error} {error:?} {}", std::error::Error::source(&error).unwrap());
        assert!(everything.contains(&format!("{column} of events (a, 2)")), "{everything}");
        assert!(!everything.contains("message") && !everything.contains("xxx"), "{everything}");
    }
}

#[tokio::test]
async fn a_refused_row_is_kept_as_the_log_had_it_and_its_text_is_not_in_the_reason() {
    let database = Database::migrated().await;
    let store = database.store().await;
    database.refuse_body("message 2").await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    writer.apply(batch("a", [1, 2, 3])).await.unwrap();
    assert_eq!(stored(&store, "a").await, [1, 3]);
    let [letter] = &database.dead_letters(P0).await[..] else { panic!("one row is refused") };
    assert!(letter.detail.starts_with("SQLSTATE 23514") && !letter.detail.contains("message 2"), "{}", letter.detail);
    let kept = huddle_proto::decode_new_event(&letter.payload).unwrap();
    assert!(posted("a", 2).is_same_send(&kept));
}
