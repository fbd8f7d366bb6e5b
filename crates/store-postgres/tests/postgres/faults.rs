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
async fn a_read_whose_caller_has_gone_does_not_go_on() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    const ACTIVE: &str = "
        SELECT count(*) FROM pg_stat_activity WHERE application_name = 'huddle' AND state = 'active'";
    let database = Database::migrated().await;
    let config = Config { statement_timeout: TIMEOUT, max_connections: 1, ..database.config.clone() };
    let store = PostgresStore::connect(&config).await.unwrap();
    let mut operator = database.connection().await;
    let mut transaction = operator.begin().await.unwrap();
    sqlx::query("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    // Beside the transaction, which sees activity as it was at its first look.
    let mut observer = database.connection().await;
    let mut active = async || sqlx::query_scalar::<_, i64>(ACTIVE).fetch_one(&mut observer).await.unwrap();
    let reader = store.clone();
    let read = tokio::spawn(async move {
        huddle_store::EventStore::list_events(&reader, &team("a"), Seq::ZERO, 10, None).await.map(drop)
    });
    eventually(PATIENCE, async || active().await == 1).await;
    read.abort();
    assert!(read.await.unwrap_err().is_cancelled());
    eventually(TIMEOUT * 4, async || active().await == 0).await;
    // The one connection is of use again, beside the lock.
    eventually(PATIENCE, async || store.check().await.is_ok()).await;
    transaction.rollback().await.unwrap();
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

/// A transient failure in the middle of the insertion itself: none of these says anything about the rows.
#[tokio::test]
async fn a_passing_failure_of_an_insertion_puts_nothing_aside() {
    const FAIL: &str = "
        CREATE SEQUENCE failures;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.seq % 100 = 50 THEN
                PERFORM nextval('failures');
                RAISE EXCEPTION 'a failure that passes' USING ERRCODE = TG_ARGV[0];
            END IF;
            RETURN NEW;
        END $$";
    let database = Database::migrated().await;
    database.execute(FAIL).await;
    // Serialisation, deadlock, disk full, memory, connections, lock, cancelled, shutdown, input and output, read-only.
    let passing =
        ["40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P03", "58030", "25006", "08006"];
    // Internal error and damaged data are for an operator, and say nothing about the rows either.
    let lasting = ["XX000", "XX001"];
    let mut first = 1;
    for code in passing.into_iter().chain(lasting) {
        let trigger = "CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail";
        database.execute(&format!("{trigger}('{code}')")).await;
        let store = database.store().await;
        let mut writer = store.claim(P0).await.unwrap().unwrap();
        let error = writer.apply(batch("a", first..first + 100)).await.unwrap_err();
        assert_eq!(error.is_retryable(), passing.contains(&code), "{code}: {error:?}");
        assert_eq!(database.dead_letters(P0).await, [], "{code}");
        drop(writer);
        database.execute("DROP TRIGGER fail ON events").await;
        let mut writer = None;
        eventually(PATIENCE, async || {
            writer = store.claim(P0).await.unwrap();
            writer.is_some()
        })
        .await;
        let mut writer = writer.unwrap();
        assert_eq!(writer.apply(batch("a", first..first + 100)).await.unwrap().stored, 100, "{code}");
        first += 100;
    }
    let mut connection = database.connection().await;
    let failures: i64 = sqlx::query_scalar("SELECT last_value FROM failures").fetch_one(&mut connection).await.unwrap();
    assert_eq!(failures, 14, "each failed once: the batch is not searched for rows to put aside");
    assert!(stored(&database.store().await, "a").await.into_iter().eq(1..first));
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_of_a_batch_puts_nothing_aside() {
    const WAIT: &str = "
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$;
        CREATE TRIGGER wait BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.seq = 50) EXECUTE FUNCTION wait()";
    const CUT: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'huddle partition 0' AND wait_event = 'PgSleep'";
    let database = Database::migrated().await;
    database.execute(WAIT).await;
    let store = database.store().await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    let mut operator = database.connection().await;
    let cut = eventually(PATIENCE, async || {
        sqlx::query_scalar::<_, bool>(CUT).fetch_optional(&mut operator).await.unwrap() == Some(true)
    });
    let (applied, ()) = tokio::join!(writer.apply(batch("a", 1..=100)), cut);
    let error = applied.unwrap_err();
    assert!(matches!(writer.confirm().await, Err(StoreError::NotOwner)));
    drop(writer);
    database.execute("DROP TRIGGER wait ON events").await;
    assert!(stored(&store, "a").await.is_empty(), "a batch happens as a whole or not at all");
    assert_batch_waits(&database, &store, error, 1).await;
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_is_named_without_its_content() {
    let database = Database::migrated().await;
    let store = database.store().await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    writer.apply(batch("a", [1, 2])).await.unwrap();
    database.execute("ALTER TABLE events DROP CONSTRAINT events_complete").await;
    let page = async || huddle_store::EventStore::list_events(&store, &team("a"), Seq::ZERO, 10, None).await;
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
