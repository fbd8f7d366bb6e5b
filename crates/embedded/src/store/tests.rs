//! The statements on a file of their own: what they cost, and what they show.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use huddle_domain::{Body, ClientId, Event, EventKind, Name, Partition, Role, Seq, Tags, TeamId, UnixMillis, UserId};
use huddle_store::{Batch, BatchItem, MessagePosition, MessageQuery, Order, StoreError};
use sqlx::{Connection as _, Row as _, SqlitePool, sqlite::SqlitePoolOptions};

use super::{
    apply, directory, events, find_sends, import, insert, list_events, list_mentions, list_messages, list_teams,
    mentions, message, messages, progress, sends, teams,
};

const P0: Partition = Partition::new(0);
const P1: Partition = Partition::new(1);

/// A database of one connection with this version's schema.
async fn database() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::migrate!().run(&pool).await.unwrap();
    pool
}

fn team(id: &str) -> TeamId {
    TeamId::parse(id).unwrap()
}

fn event(team_id: &str, seq: u64, kind: EventKind) -> Event {
    Event {
        team: team(team_id),
        seq: Seq::new(seq),
        prev_seq: Seq::ZERO,
        time: UnixMillis(1_700_000_000_000),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(&format!("c{seq}")).unwrap(),
        kind,
    }
}

fn posted(team_id: &str, seq: u64) -> Event {
    event(team_id, seq, EventKind::posted(Body::parse(&format!("message {seq}")).unwrap()))
}

async fn append(pool: &SqlitePool, partition: Partition, events: &[Event]) {
    let events: Vec<&Event> = events.iter().collect();
    insert(&mut pool.acquire().await.unwrap(), partition, &events).await.unwrap();
}

fn batch(events: &[Event]) -> Batch {
    let items: Vec<BatchItem> = events.iter().cloned().map(BatchItem::Event).collect();
    Batch { through: items.last().map_or(Seq::ZERO, BatchItem::seq), items, ..Batch::default() }
}

async fn shown(pool: &SqlitePool, team_id: &str) -> Vec<u64> {
    let page = list_events(pool, &team(team_id), Seq::ZERO, 1_000).await.unwrap();
    page.items.iter().map(|event| event.seq.get()).collect()
}

#[tokio::test]
async fn what_is_appended_shows_once_it_is_applied() {
    let pool = database().await;
    let events = [posted("a", 1), posted("a", 2), posted("b", 3)];
    append(&pool, P0, &events).await;
    let newest = MessageQuery { position: MessagePosition::Newest, limit: 10, order: Order::OldestFirst };
    assert_eq!(shown(&pool, "a").await, [0; 0]);
    assert_eq!(message(&pool, &team("a"), Seq::new(1)).await.unwrap(), None);
    assert!(list_messages(&pool, &team("a"), newest).await.unwrap().messages.is_empty());
    assert!(list_teams(&pool, None, 10).await.unwrap().items.is_empty());
    // A key is taken from the append on.
    assert_eq!(find_sends(&pool, &[events[1].key()]).await.unwrap(), events[1..2]);

    let mut connection = pool.acquire().await.unwrap();
    let applied = apply(&mut connection, P0, Seq::ZERO, &batch(&events[..1])).await.unwrap();
    assert_eq!((applied.stored, applied.through), (1, Seq::new(1)));
    drop(connection);
    assert_eq!(shown(&pool, "a").await, [1]);
    let page = list_events(&pool, &team("a"), Seq::ZERO, 1).await.unwrap();
    assert!(!page.has_more, "what does not show is not announced either");
    let page = list_messages(&pool, &team("a"), newest).await.unwrap();
    assert_eq!((page.messages.len(), page.has_newer), (1, false));
    assert_eq!(list_teams(&pool, None, 10).await.unwrap().items, [team("a")]);
}

#[tokio::test]
async fn what_is_not_stored_yet_mentions_nobody() {
    let pool = database().await;
    let created = EventKind::TeamCreated {
        name: huddle_domain::Name::parse("Team").unwrap(),
        owner: UserId::parse("ann").unwrap(),
    };
    let ann = UserId::parse("ann").unwrap();
    let mention = |seq| {
        let tags = Tags::new([ann.clone()], None).unwrap();
        event("a", seq, EventKind::Posted { body: Body::parse("@ann").unwrap(), tags })
    };
    let listed = async || {
        let page = list_mentions(&pool, &ann, None, 10).await.unwrap();
        page.items.iter().map(|message| message.seq.get()).collect::<Vec<_>>()
    };
    let events = [event("a", 1, created), mention(2), mention(3)];
    append(&pool, P0, &events).await;
    assert_eq!(listed().await, [0; 0]);
    let mut connection = pool.acquire().await.unwrap();
    apply(&mut connection, P0, Seq::ZERO, &batch(&events[..2])).await.unwrap();
    // Imported above the position.
    assert_eq!(import(&mut connection, P0, vec![mention(5)]).await.unwrap().stored, 1);
    drop(connection);
    assert_eq!(listed().await, [2]);
    // A batch of messages alone, which the log appended all.
    apply(&mut pool.acquire().await.unwrap(), P0, Seq::new(2), &batch(&events[2..])).await.unwrap();
    assert_eq!(listed().await, [3, 2]);
}

#[tokio::test]
async fn a_batch_that_the_log_appended_is_stored_without_another_row() {
    let pool = database().await;
    let created = EventKind::TeamCreated {
        name: huddle_domain::Name::parse("Team").unwrap(),
        owner: UserId::parse("ann").unwrap(),
    };
    let events = [event("a", 1, created), posted("a", 2), posted("a", 3)];
    append(&pool, P0, &events).await;
    let mut connection = pool.acquire().await.unwrap();
    let applied = apply(&mut connection, P0, Seq::ZERO, &batch(&events)).await.unwrap();
    assert_eq!((applied.stored, applied.dead_letters.len()), (3, 0));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(rows, 3);
    drop(connection);
    let memberships = directory::memberships(&pool, &team("a"), &[UserId::parse("ann").unwrap()]).await.unwrap();
    assert_eq!(memberships[0].1.role, Role::Owner);
}

#[tokio::test]
async fn a_position_that_was_moved_is_not_moved_again() {
    let pool = database().await;
    let mut connection = pool.acquire().await.unwrap();
    apply(&mut connection, P0, Seq::ZERO, &batch(&[posted("a", 5)])).await.unwrap();
    for from in [0, 4, 6] {
        let mut transaction = connection.begin().await.unwrap();
        let outcome = apply(&mut transaction, P0, Seq::new(from), &batch(&[posted("a", 9)])).await;
        assert!(matches!(outcome, Err(insert::Failure::Store(StoreError::NotOwner))), "from {from}: {outcome:?}");
        transaction.rollback().await.unwrap();
    }
    let missing = apply(&mut connection, P1, Seq::new(3), &batch(&[posted("b", 9)])).await;
    assert!(matches!(missing, Err(insert::Failure::Store(StoreError::NotOwner))), "{missing:?}");
    assert_eq!(progress(&mut *connection, P0).await.unwrap(), Some(Seq::new(5)));
    assert_eq!(progress(&mut *connection, P1).await.unwrap(), None);
}

#[tokio::test]
async fn a_conflicting_import_leaves_the_callers_transaction_as_it_was() {
    let pool = database().await;
    let mut connection = pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    apply(&mut transaction, P0, Seq::ZERO, &batch(&[posted("a", 5)])).await.unwrap();
    let conflicting = vec![posted("a", 4), Event { client_id: ClientId::parse("x").unwrap(), ..posted("a", 5) }];
    assert_eq!(import(&mut transaction, P0, conflicting).await.unwrap().conflicts.len(), 1);
    assert_eq!(import(&mut transaction, P0, vec![posted("a", 3)]).await.unwrap().stored, 1);
    transaction.commit().await.unwrap();
    drop(connection);
    assert_eq!(shown(&pool, "a").await, [3, 5]);
}

/// Every statement over `events` goes by an index from its first row on, and sorts nothing.
#[tokio::test]
async fn reads_search_by_an_index_and_sort_nothing() {
    let pool = database().await;
    // Statistics of a file in which one team has nearly everything.
    let events: Vec<Event> = (1..=2_000).map(|seq| posted(if seq % 100 == 0 { "b" } else { "a" }, seq)).collect();
    append(&pool, P0, &events).await;
    sqlx::raw_sql("ANALYZE").execute(&pool).await.unwrap();
    let statements = [
        events::LIST_EVENTS,
        events::EVENTS_BETWEEN,
        messages::LIST_MESSAGES,
        messages::MESSAGE,
        teams::LIST_TEAMS,
        sends::SENDS_BY_KEY,
        sends::EVENTS_AT,
        directory::LIST_MEMBERS,
        directory::LIST_USER_TEAMS,
    ];
    for statement in statements {
        let plan = plan_of(&pool, statement).await;
        assert!(plan.iter().any(|step| step.contains("USING")), "{statement}: {plan:#?}");
        for step in plan {
            let scans = step.starts_with("SCAN")
                && !["VIRTUAL TABLE", "CONSTANT ROW", "SCAN found", "(subquery"].iter().any(|fine| step.contains(fine));
            assert!(!scans && !step.contains("TEMP B-TREE") && !step.contains("AUTOMATIC"), "{statement}: {step}");
        }
    }
    let plan = plan_of(&pool, messages::LIST_MESSAGES).await;
    assert_eq!(plan.iter().filter(|step| step.contains("events_messages")).count(), 2, "{plan:#?}");
}

/// However often a stranger mentions the user in a team of the stranger's own.
#[tokio::test]
async fn a_page_of_mentions_costs_the_same_whatever_is_written_in_other_teams() {
    let to_bob = |team_id, seq| {
        let tags = Tags::new(vec![UserId::parse("bob").unwrap()], None).unwrap();
        event(team_id, seq, EventKind::Posted { body: Body::parse("hello").unwrap(), tags })
    };
    let bob = UserId::parse("bob").unwrap();
    let mut own = vec![event("a", 1, EventKind::TeamCreated { name: Name::parse("Team").unwrap(), owner: bob })];
    own.extend((2..=40).map(|seq| to_bob("a", seq)));
    let pool = database().await;
    let progress = store_all(&pool, Seq::ZERO, &own).await;
    let before = list_bobs_mentions(&pool).await;
    let others: Vec<Event> = (41..=10_040).map(|seq| to_bob("b", seq)).collect();
    store_all(&pool, progress, &others).await;
    sqlx::raw_sql("ANALYZE").execute(&pool).await.unwrap();
    let after = list_bobs_mentions(&pool).await;
    assert_eq!(before.0, (31..=40).rev().collect::<Vec<_>>());
    assert_eq!(after.0, before.0);
    assert!(before.1 > 0 && after.1 <= before.1 + before.1 / 10, "{} steps instead of {}", after.1, before.1);

    for step in plan_of(&pool, mentions::LIST_MENTIONS).await {
        let scans =
            step.starts_with("SCAN") && !["VIRTUAL TABLE", "(subquery", "found"].iter().any(|fine| step.contains(fine));
        assert!(!scans && !step.contains("AUTOMATIC"), "{step}");
    }
}

async fn store_all(pool: &SqlitePool, progress: Seq, events: &[Event]) -> Seq {
    append(pool, P0, events).await;
    let mut connection = pool.acquire().await.unwrap();
    apply(&mut connection, P0, progress, &batch(events)).await.unwrap().through
}

/// The positions on a page of bob's mentions, and the steps of SQLite's machine that it took.
async fn list_bobs_mentions(pool: &SqlitePool) -> (Vec<u64>, u64) {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    pool.acquire().await.unwrap().lock_handle().await.unwrap().set_progress_handler(1, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let page = list_mentions(pool, &UserId::parse("bob").unwrap(), None, 10).await.unwrap();
    pool.acquire().await.unwrap().lock_handle().await.unwrap().remove_progress_handler();
    (page.items.iter().map(|message| message.seq.get()).collect(), steps.load(Ordering::Relaxed))
}

async fn plan_of(pool: &SqlitePool, statement: &str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).bind("a").bind(5).bind(11).bind(11).bind(11).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}
