//! A Postgres that is there and does not take what it is given: persistence waits, puts nothing aside, and does not spin.

use std::time::{Duration, Instant};

use huddle_service::config::Secret;
use huddle_store_postgres::Config;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, Replica, Stack, assert_exactly_once, eventually, publish, stored, stored_up_to, team};

/// How long each trouble lasts.
const TROUBLE: Duration = Duration::from_secs(6);

/// How soon after its end everything is stored.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// Attempts in the time of a trouble: pauses grow from 0.1 s to 2 s, and are drawn from zero up.
const ATTEMPTS_MAX: u64 = 60;

/// A trouble has begun: messages that come now are accepted, none is stored, and attempts are few. After `relief`
/// everything is stored.
async fn assert_it_waits(stack: &Stack, replica: Replica, relief: impl Future<Output = ()>) {
    let (log, store, a) = (stack.log().await, stack.store(), team("a"));
    let mut published = publish(&*log, &a, 1, 200).await;
    let began = Instant::now();
    eventually(PATIENCE, async || !replica.readiness.is_ready()).await;
    let failed_before = replica.metric("huddle_persistence_terms_failed_total");
    published.extend(publish(&*log, &a, 201, 200).await);
    sleep(TROUBLE.saturating_sub(began.elapsed())).await;
    let failed = replica.metric("huddle_persistence_terms_failed_total") - failed_before;
    assert!(failed <= ATTEMPTS_MAX, "{failed} attempts");
    assert_eq!(replica.metric("huddle_persistence_events_stored_total"), 0);
    relief.await;
    let back = Instant::now();
    stored_up_to(&store, published[399].0).await;
    assert!(back.elapsed() < CATCH_UP_MAX, "{:?}", back.elapsed());
    assert_exactly_once(&stored(&store, &a).await, &published);
    assert_eq!(stack.dead_letter_count().await, "0");
    eventually(PATIENCE, async || replica.readiness.is_ready()).await;
    replica.stop().await;
}

async fn ready(stack: &Stack, config: &Config) -> Replica {
    let replica = Replica::start(stack.log().await, config);
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    replica
}

#[tokio::test]
async fn a_postgres_that_is_read_only_is_waited_for() {
    let stack = Stack::start().await;
    let replica = ready(&stack, &stack.store_config()).await;
    stack.sql("ALTER DATABASE huddle_test SET default_transaction_read_only = on").await;
    // As a failover does: sessions end, and new ones meet a server that cannot be written.
    stack.cut_owners().await;
    assert_it_waits(&stack, replica, async {
        stack.sql("BEGIN READ WRITE; ALTER DATABASE huddle_test RESET default_transaction_read_only; COMMIT").await;
    })
    .await;
}

#[tokio::test]
async fn a_server_wide_switch_to_read_only_under_an_owner_is_waited_out() {
    let stack = Stack::start().await;
    let replica = ready(&stack, &stack.store_config()).await;
    let set = async |value: &str| {
        stack.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}")).await;
        stack.sql("SELECT pg_reload_conf()").await;
    };
    set("on").await;
    assert_it_waits(&stack, replica, set("off")).await;
}

#[tokio::test]
async fn a_table_that_is_locked_for_long_is_waited_for() {
    let stack = Stack::start().await;
    let config = Config { statement_timeout: Duration::from_millis(500), ..stack.store_config() };
    let replica = ready(&stack, &config).await;
    let mut lock =
        stack.psql("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120)").spawn().unwrap();
    eventually(PATIENCE, async || {
        stack.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted").await != "0"
    })
    .await;
    assert_it_waits(&stack, replica, async {
        stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").await;
        lock.wait().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_postgres_without_a_free_connection_is_waited_for() {
    const USER: &str = "
        CREATE ROLE app LOGIN PASSWORD 'a-password-of-a-test';
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app";
    const ALLOW_NONE: &str = "
        ALTER ROLE app CONNECTION LIMIT 0;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    let stack = Stack::start().await;
    stack.sql(USER).await;
    let url = format!("postgres://app:a-password-of-a-test@127.0.0.1:{}/huddle_test", stack.postgres.port());
    let replica = ready(&stack, &Config { url: Secret::new(url), ..stack.store_config() }).await;
    // SQLSTATE 53300, as when the server as a whole has no connection left.
    stack.sql(ALLOW_NONE).await;
    assert_it_waits(&stack, replica, async {
        stack.sql("ALTER ROLE app CONNECTION LIMIT -1").await;
    })
    .await;
}
