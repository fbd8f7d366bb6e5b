//! What reads cost: one partition of the table, by an index, as many rows as the page has.

use std::time::Duration;

use huddle_domain::{Seq, TeamId, UnixMillis};
use huddle_store::{EventStore as _, MentionPosition, MessagePosition, MessageQuery, Order, PartitionStore as _};
use huddle_store_postgres::PostgresStore;

use crate::support::{Database, P0, batch, eventually, posted, team, user};

const EVENTS: u64 = 20_000;
const TEAMS: u64 = 40;

/// Reads are done this often: beyond the fifth time, Postgres may plan for no parameters in particular.
const TIMES: i64 = 20;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Cost {
    /// Scans of a whole partition of `events`.
    whole: i64,
    /// Partitions of `events` that were looked at.
    partitions: i64,
    /// Rows taken from indexes.
    rows: i64,
    /// Entries of the mentions' index that were looked at, and rows beside the index.
    mentions: i64,
}

/// Does `read` several times in a session of its own, and returns what it has cost.
async fn cost_of(database: &Database, read: impl AsyncFn(&PostgresStore)) -> Cost {
    const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'huddle'";
    const COST: &str = "
        SELECT sum(seq_scan)::bigint AS whole,
               count(*) FILTER (WHERE idx_scan > 0) AS partitions,
               sum(idx_tup_fetch)::bigint AS rows,
               (SELECT mentions.seq_tup_read + index.idx_tup_read
                FROM pg_stat_user_tables AS mentions JOIN pg_stat_user_indexes AS index USING (relid)
                WHERE mentions.relname = 'mentions')::bigint AS mentions
        FROM pg_stat_user_tables WHERE relname LIKE 'events\\_%'";
    let mut connection = database.connection().await;
    sqlx::query("SELECT pg_stat_reset()").execute(&mut connection).await.unwrap();
    let store = database.store().await;
    for _ in 0..TIMES {
        read(&store).await;
    }
    drop(store);
    // A session reports what it did when it ends.
    eventually(PATIENCE, async || {
        sqlx::query_scalar::<_, i64>(SESSIONS).fetch_one(&mut connection).await.unwrap() == 0
    })
    .await;
    sqlx::query_as(COST).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_page_reads_one_partition_by_its_index_wherever_it_lies() {
    let database = Database::migrated().await;
    let store = database.store().await;
    let mut writer = store.claim(P0).await.unwrap().unwrap();
    // One long history, and others beside it in every partition of the table.
    for first in (1..=EVENTS).step_by(2_000) {
        let mut run = batch("long", []);
        for seq in first..first + 2_000 {
            let team_id = if seq % 2 == 0 { "long".to_owned() } else { format!("t{}", seq % TEAMS) };
            run.items.push(huddle_store::BatchItem::Event(posted(&team_id, seq)));
        }
        run.through = Seq::new(first + 1_999);
        writer.apply(run).await.unwrap();
    }
    database.execute("VACUUM ANALYZE events").await;
    drop((writer, store));

    let long: TeamId = team("long");
    let positions = [
        MessagePosition::Newest,
        MessagePosition::Oldest,
        MessagePosition::Before(Seq::new(EVENTS / 2)),
        MessagePosition::After(Seq::new(EVENTS / 2)),
        MessagePosition::Around(Seq::new(EVENTS - 100)),
    ];
    for position in positions {
        let query = MessageQuery { position, limit: 10, order: Order::NewestFirst };
        let read = async |store: &PostgresStore| {
            assert_eq!(store.list_messages(&long, query, None).await.unwrap().messages.len(), 10);
        };
        assert_cheap(&cost_of(&database, read).await, 12, &format!("{position:?}"));
    }
    for after in [0, EVENTS / 2, EVENTS - 100] {
        let read = async |store: &PostgresStore| {
            assert_eq!(store.list_events(&long, Seq::new(after), 10, None).await.unwrap().items.len(), 10);
        };
        assert_cheap(&cost_of(&database, read).await, 12, &format!("events after {after}"));
    }
    for count in [1, 500] {
        let keys: Vec<_> = (1..=count).map(|number| posted("long", number * 20).key()).collect();
        let read = async |store: &PostgresStore| {
            assert_eq!(store.find_sends(&keys).await.unwrap().len(), keys.len());
        };
        assert_cheap(&cost_of(&database, read).await, i64::try_from(count).unwrap(), &format!("{count} keys"));
    }
}

fn assert_cheap(cost: &Cost, rows_max: i64, read: &str) {
    assert_eq!((cost.whole, cost.partitions), (0, 1), "{read}: {cost:?}");
    assert!(cost.rows <= TIMES * rows_max, "{read}: {cost:?}");
}

/// The mentions of one user in 20 teams, in as many that the user has left, and by a stranger in one that the user was never
/// in: newer than all others.
#[tokio::test]
async fn a_page_of_mentions_reads_one_page_of_each_team_of_the_user_and_nothing_of_others() {
    const OWN_TEAMS: i64 = 20;
    const SETUP: &str = "
        INSERT INTO teams (team_id, name, created_seq, created_time_ms)
        SELECT 't' || number, 'Team', 1, 0 FROM generate_series(0, 40) AS number;
        INSERT INTO members (team_id, user_id, role, since_seq)
        SELECT 't' || number, 'u' || member, 'member', 1
        FROM generate_series(0, 39) AS number, generate_series(0, 50) AS member
        WHERE member > 0 OR number % 2 = 0;
        INSERT INTO members (team_id, user_id, role, since_seq) VALUES ('t40', 'stranger', 'owner', 1);
        INSERT INTO events (team_id, seq, time_ms, sender_id, client_id, kind, body, mentions)
        SELECT 't' || seq % 40, seq, seq / 7, 'ann', 'c' || seq, 'posted', 'hello', ARRAY['u0', 'u' || seq % 50 + 1]
        FROM generate_series(1, 20000) AS seq;
        INSERT INTO events (team_id, seq, time_ms, sender_id, client_id, kind, body, mentions)
        SELECT 't40', seq, seq, 'stranger', 'c' || seq, 'posted', 'hello', ARRAY['u0']
        FROM generate_series(20001, 30000) AS seq;
        INSERT INTO mentions (user_id, time_ms, team_id, seq)
        SELECT unnest(mentions), time_ms, team_id, seq FROM events;";
    let database = Database::migrated().await;
    database.execute(SETUP).await;
    database.execute("VACUUM ANALYZE").await;
    for before in [None, Some(25_000), Some(1_500), Some(10)] {
        let before = before.map(|time| MentionPosition { time: UnixMillis(time), team: team("t20"), seq: Seq::new(1) });
        let read = async |store: &PostgresStore| {
            let page = store.list_mentions(&user("u0"), before.as_ref(), 10).await.unwrap();
            assert!(page.items.len() == 10 && page.has_more);
        };
        let cost = cost_of(&database, read).await;
        assert!(cost.whole == 0 && cost.rows <= TIMES * 11, "before {before:?}: {cost:?}");
        assert!(cost.mentions <= TIMES * OWN_TEAMS * 11, "before {before:?}: {cost:?}");
    }
}
