//! Owners that die, fall silent, or lose their claim.

use std::time::{Duration, Instant};

use huddle_domain::Seq;
use huddle_store::{PartitionStore, PartitionWriter, StoreError};
use huddle_store_postgres::PostgresStore;
use sqlx::Connection as _;

use crate::support::{Database, P0, batch, eventually, stored};

/// How long a partition may be without an owner.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// How long a session may be silent before it loses its claim, and a little more.
const BEYOND_SILENCE: Duration = Duration::from_secs(4);

async fn take_over(store: &PostgresStore) -> Box<dyn PartitionWriter> {
    let mut writer = None;
    eventually(TAKEOVER_MAX, async || {
        writer = store.claim(P0).await.unwrap();
        writer.is_some()
    })
    .await;
    writer.unwrap()
}

#[tokio::test]
async fn an_owner_that_falls_silent_is_replaced_and_fenced() {
    let database = Database::migrated().await;
    let (first, second) = (database.store().await, database.store().await);
    let mut silent = first.claim(P0).await.unwrap().unwrap();
    silent.apply(batch("a", [1])).await.unwrap();
    let began = Instant::now();
    let mut writer = take_over(&second).await;
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(writer.progress(), Seq::new(1));

    // The old owner wakes up and means to go on.
    let late = silent.apply(batch("a", [2])).await.unwrap_err();
    assert!(late.is_retryable(), "{late:?}");
    assert!(matches!(silent.confirm().await, Err(StoreError::NotOwner)));
    writer.apply(batch("b", [2])).await.unwrap();
    assert_eq!((stored(&second, "a").await, stored(&second, "b").await), (vec![1], vec![2]));
}

#[tokio::test]
async fn an_owner_that_confirms_or_works_is_left_alone() {
    let database = Database::migrated().await;
    let (first, second) = (database.store().await, database.store().await);
    let mut writer = first.claim(P0).await.unwrap().unwrap();
    let nobody_takes_over = async || {
        let began = Instant::now();
        while began.elapsed() < BEYOND_SILENCE {
            assert!(second.claim(P0).await.unwrap().is_none());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let confirming = async {
        for _ in 0..4 {
            writer.confirm().await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(confirming, nobody_takes_over());

    // A batch that waits for a lock is work, however long it takes.
    let mut operator = database.connection().await;
    let mut transaction = operator.begin().await.unwrap();
    sqlx::query("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
    let release = async {
        nobody_takes_over().await;
        transaction.rollback().await.unwrap();
    };
    let (applied, ()) = tokio::join!(writer.apply(batch("a", [1])), release);
    assert_eq!(applied.unwrap().stored, 1);
}

#[tokio::test]
async fn an_owner_whose_position_was_moved_writes_nothing() {
    let database = Database::migrated().await;
    let store = database.store().await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    writer.apply(batch("a", [1])).await.unwrap();
    database.execute("UPDATE log_progress SET seq = 7").await;
    assert!(matches!(writer.apply(batch("a", [8])).await, Err(StoreError::NotOwner)));
    assert!(matches!(writer.apply(batch("a", [9])).await, Err(StoreError::NotOwner)));
    assert_eq!((stored(&store, "a").await, store.progress(P0).await.unwrap()), (vec![1], Seq::new(7)));

    drop(writer);
    let mut writer = take_over(&store).await;
    database.execute("UPDATE log_progress SET seq = 0").await;
    assert!(matches!(writer.confirm().await, Err(StoreError::NotOwner)));
    drop(writer);

    // A position that was set back, by a restored backup for one, is caught up with.
    let mut writer = take_over(&store).await;
    let again = writer.apply(batch("a", [1, 2])).await.unwrap();
    assert_eq!((again.stored, again.dead_letters.len(), again.through), (1, 0, Seq::new(2)));
    assert_eq!(stored(&store, "a").await, [1, 2]);
}

#[tokio::test]
async fn a_killed_postmaster_leaves_whole_batches_only() {
    const BATCH: u64 = 200;
    let mut database = Database::migrated().await;
    let store = database.store().await;
    let mut batches = 0;
    for round in 0..4 {
        let mut writer = take_over(&store).await;
        let progress = writer.progress().get();
        // What was acknowledged is there; at most the batch in flight is there, too.
        assert!([batches * BATCH, (batches + 1) * BATCH].contains(&progress), "{progress} after {batches} batches");
        batches = progress / BATCH;
        assert!(stored(&store, "a").await.into_iter().eq(1..=progress));
        let kill_after = batches + 3 + round;
        let error = loop {
            if batches == kill_after {
                database.server.kill9().unwrap();
            }
            let first = batches * BATCH + 1;
            match writer.apply(batch("a", first..first + BATCH)).await {
                Ok(_) => batches += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert!(matches!(writer.confirm().await, Err(StoreError::NotOwner)));
        database.server.restart().await.unwrap();
    }
}
