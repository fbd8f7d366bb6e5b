//! A Postgres that comes back older than it was: a backup that was restored, a standby that was promoted.

use std::path::Path;

use huddle_domain::{EventKind, Name, NewEvent, Role, Seq, TeamId, UserId};
use huddle_log::{Condition, Log};
use huddle_store::PartitionStore as _;
use tokio::{process::Command, sync::watch, time::timeout};

use crate::support::{
    P0, PATIENCE, Replica, Stack, assert_exactly_once, eventually, message, publish, stored, stored_up_to, team,
};

/// Everything that the tables hold, but for what has its own count.
const TABLES: [&str; 7] = ["events", "mentions", "teams", "members", "users", "log_progress", "dead_letters"];

/// Copies all tables.
async fn back_up(stack: &Stack) {
    let copies = TABLES.map(|table| format!("CREATE TABLE backup.{table} AS TABLE {table};"));
    let all = format!("BEGIN; DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup; {} COMMIT", copies.concat());
    stack.sql(&all.replace("BEGIN;", "BEGIN ISOLATION LEVEL REPEATABLE READ;")).await;
}

/// Puts the copies back, under whoever works with the tables.
async fn restore(stack: &Stack) {
    let restored = TABLES.map(|table| format!("INSERT INTO {table} SELECT * FROM backup.{table};"));
    // The position first: that is the order in which a batch takes its locks.
    let order = "LOCK TABLE log_progress IN ACCESS EXCLUSIVE MODE;";
    stack.sql(&format!("BEGIN; {order} TRUNCATE {}; {} COMMIT", TABLES.join(", "), restored.concat())).await;
}

async fn ready(stack: &Stack) -> Replica {
    let replica = stack.replica().await;
    assert!(timeout(PATIENCE, replica.readiness.wait_until_ready()).await.unwrap());
    replica
}

async fn change(log: &dyn Log, team: &TeamId, number: u64, kind: EventKind) -> (Seq, NewEvent) {
    let event = NewEvent { kind, ..message(team, number) };
    (log.publish(event.clone(), Condition::None).await.unwrap().await.unwrap().seq, event)
}

#[tokio::test]
async fn a_store_that_goes_back_under_its_owner_gets_everything_again_exactly_once() {
    let stack = Stack::start().await;
    let (log, store, a) = (stack.log().await, stack.store(), team("a"));
    let (replica, standby) = (ready(&stack).await, ready(&stack).await);
    let user = |id| UserId::parse(id).unwrap();
    let created = EventKind::TeamCreated { name: Name::parse("A").unwrap(), owner: user("ann") };
    let mut published = vec![change(&*log, &a, 900_001, created).await];
    published.extend(publish(&*log, &a, 1, 500).await);
    stored_up_to(&store, published[500].0).await;
    back_up(&stack).await;

    let added = EventKind::MemberAdded { user: user("bob"), role: Role::Member, name: None };
    published.push(change(&*log, &a, 900_002, added).await);
    let (done, mut finished) = watch::channel(false);
    let traffic = async {
        let published = publish(&*log, &a, 501, 6_000).await;
        done.send_replace(true);
        published
    };
    let going_back = async {
        let mut times = 0;
        while times < 3 || !*finished.borrow_and_update() {
            let before = store.progress(P0).await.unwrap();
            let moves = async || store.progress(P0).await.unwrap() > before || *finished.borrow();
            eventually(PATIENCE, moves).await;
            restore(&stack).await;
            times += 1;
            let caught_up = async || store.progress(P0).await.unwrap() > before || *finished.borrow();
            eventually(PATIENCE, caught_up).await;
        }
        times
    };
    let (later, times) = tokio::join!(traffic, going_back);
    published.extend(later);
    published.push(change(&*log, &a, 900_003, EventKind::MemberRemoved { user: user("ann") }).await);

    stored_up_to(&store, published[published.len() - 1].0).await;
    assert_exactly_once(&stored(&store, &a).await, &published);
    assert_eq!(stack.sql("SELECT user_id FROM members").await, "bob");
    let replays = |replica: &Replica| replica.metric("huddle_persistence_replays_total");
    let replays = replays(&replica) + replays(&standby);
    assert!((1..=times).contains(&replays), "{replays} of {times}: each is told, by whoever owns the partition then");
    assert_eq!((stack.gaps().await.as_str(), stack.dead_letter_count().await.as_str()), ("", "0"));
    replica.stop().await;
    standby.stop().await;
}

#[tokio::test]
async fn a_server_that_was_restored_from_a_backup_is_caught_up_with() {
    let mut stack = Stack::start().await;
    let (log, store, a) = (stack.log().await, stack.store(), team("a"));
    let replica = ready(&stack).await;
    let mut published = publish(&*log, &a, 1, 300).await;
    stored_up_to(&store, published[299].0).await;

    stack.postgres.stop().await.unwrap();
    let data = stack.postgres.data_dir().to_owned();
    let backup = data.with_extension("backup");
    copy(&data, &backup).await;
    stack.postgres.restart().await.unwrap();
    published.extend(publish(&*log, &a, 301, 300).await);
    stored_up_to(&store, published[599].0).await;

    stack.postgres.stop().await.unwrap();
    // The directory itself stays, with its owner and rights.
    clear(&data).await;
    copy(&backup.join("."), &data).await;
    tokio::fs::remove_dir_all(&backup).await.unwrap();
    stack.postgres.restart().await.unwrap();
    published.extend(publish(&*log, &a, 601, 10).await);
    stored_up_to(&store, published[609].0).await;
    assert_exactly_once(&stored(&store, &a).await, &published);
    assert_eq!(replica.metric("huddle_persistence_replays_total"), 1);
    assert_eq!(stack.gaps().await, "");
    replica.stop().await;
}

#[tokio::test]
async fn what_the_log_has_forgotten_when_the_store_went_back_is_a_gap_on_record() {
    let stack = Stack::start().await;
    let (log, store, a) = (stack.log().await, stack.store(), team("a"));
    let replica = ready(&stack).await;
    let published = publish(&*log, &a, 1, 100).await;
    stored_up_to(&store, published[99].0).await;
    let back = format!(
        "BEGIN; UPDATE log_progress SET seq = {0}; DELETE FROM events WHERE seq > {0}; COMMIT",
        published[29].0
    );
    // Forgotten first: the owner is at work as soon as it notices.
    stack.forget(published[69].0).await;
    stack.sql(&back).await;
    eventually(PATIENCE, async || replica.metric("huddle_persistence_replays_total") == 1).await;
    stored_up_to(&store, published[99].0).await;
    let kept: Vec<_> = published[..30].iter().chain(&published[70..]).cloned().collect();
    assert_exactly_once(&stored(&store, &a).await, &kept);
    assert_eq!(stack.gaps().await, format!("{}|{}", published[29].0, published[70].0));
    replica.stop().await;
}

/// A directory with all that is in it, for whoever owns it.
async fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().await.unwrap();
    assert!(copied.success());
}

async fn clear(directory: &Path) {
    let cleared = Command::new("find").arg(directory).args(["-mindepth", "1", "-delete"]).status().await.unwrap();
    assert!(cleared.success());
}
