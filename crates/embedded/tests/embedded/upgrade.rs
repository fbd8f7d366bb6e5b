//! A file of an older version is brought to this version's schema where it is, and keeps what it has.

use std::{borrow::Cow, path::Path};

use huddle_domain::{Body, ClientId, Event, EventKind, NewEvent, Partition, Seq, Tags, TeamId, UserId};
use huddle_embedded::{Config, Embedded, OpenError};
use huddle_log::{Condition, Log as _};
use huddle_store::{Batch, BatchItem, DirectoryStore as _, EventStore as _, PartitionStore as _};
use sqlx::{ConnectOptions as _, Connection as _, migrate::Migrator, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// The newest migration of the version whose files these are.
const OLD_SCHEMA: i64 = 20_261_122_090_000;

/// What that version leaves behind: a team with two messages, of which one is not stored yet.
const OLD_ROWS: &str = "
    PRAGMA application_id = 0x6875646c;
    INSERT INTO log_shape (one, partitions) VALUES (1, 1);
    INSERT INTO log_partitions (partition, floor_seq) VALUES (0, 1000000);
    INSERT INTO log_progress (partition, seq) VALUES (0, 1000002);
    INSERT INTO events
        (team_id, seq, partition, time_ms, sender_id, client_id, kind, body, member_id, member_role, name)
    VALUES
        ('a', 1000001, 0, 1, 'ann', 'c1', 'team_created', NULL, 'ann', NULL, 'The team'),
        ('a', 1000002, 0, 2, 'ann', 'c2', 'posted', 'stored', NULL, NULL, NULL),
        ('a', 1000003, 0, 3, 'ann', 'c3', 'posted', 'accepted', NULL, NULL, NULL);
    INSERT INTO teams (team_id, name, created_seq, created_time_ms) VALUES ('a', 'The team', 1000001, 1);
    INSERT INTO members (team_id, user_id, role, since_seq) VALUES ('a', 'ann', 'owner', 1000001);";

async fn make_old_file(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let all = sqlx::migrate!();
    let old = all.iter().filter(|migration| migration.version <= OLD_SCHEMA).cloned().collect();
    let old = Migrator { migrations: Cow::Owned(old), ..all };
    old.run_direct(None, &mut connection, false).await.unwrap();
    sqlx::raw_sql(OLD_ROWS).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn an_older_file_is_upgraded_where_it_is_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let config = Config { directory: directory.path().to_owned(), ..Config::default() };
    make_old_file(&directory.path().join("huddle.db")).await;
    let error = Embedded::open_read_only(&config).await.unwrap_err();
    assert!(matches!(error, OpenError::Older { found: OLD_SCHEMA, .. }), "{error:?}");

    let embedded = Embedded::open(&config).await.unwrap();
    let (team, ann, p0) = (TeamId::parse("a").unwrap(), UserId::parse("ann").unwrap(), Partition::new(0));
    embedded.prepare(p0, Seq::ZERO).await.unwrap();
    let shown = async || {
        let page = embedded.list_events(&team, Seq::ZERO, 10, None).await.unwrap();
        page.items.iter().map(|event| event.seq.get()).collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [1_000_001, 1_000_002]);
    assert_eq!(embedded.list_user_teams(&ann, None, 10).await.unwrap().items.len(), 1);

    // What the old version accepted becomes stored, and what is new has tags.
    let new = NewEvent {
        team: team.clone(),
        sender: ann.clone(),
        client_id: ClientId::parse("c4").unwrap(),
        kind: EventKind::Posted { body: Body::parse("@ann").unwrap(), tags: Tags::new([ann.clone()], None).unwrap() },
    };
    let published = embedded.publish(new, Condition::None).await.unwrap().await.unwrap();
    assert_eq!(published.seq, Seq::new(1_000_004));
    let mut writer = embedded.claim(p0).await.unwrap().unwrap();
    let items: Vec<BatchItem> = events_after(&embedded, writer.progress()).await;
    let applied = writer.apply(Batch { items, through: published.seq, ..Batch::default() }).await.unwrap();
    assert_eq!((applied.stored, applied.dead_letters.len()), (2, 0));
    assert_eq!(shown().await, [1_000_001, 1_000_002, 1_000_003, 1_000_004]);
    let mentions = embedded.list_mentions(&ann, None, 10).await.unwrap().items;
    assert_eq!(mentions.iter().map(|message| message.seq).collect::<Vec<_>>(), [published.seq]);
    embedded.close().await;
}

/// The two entries of the log above `position`.
async fn events_after(embedded: &Embedded, position: Seq) -> Vec<BatchItem> {
    use futures_util::StreamExt as _;
    let entries = embedded.read(Partition::new(0), position).await.unwrap().take(2);
    let item = |entry: Result<huddle_log::Entry, huddle_log::LogError>| {
        let entry = entry.unwrap();
        let huddle_log::EntryContent::Event(NewEvent { team, sender, client_id, kind }) = entry.content else {
            panic!("an entry that is no event")
        };
        let (seq, time) = (entry.seq, entry.time);
        BatchItem::Event(Event { team, seq, prev_seq: Seq::ZERO, time, sender, client_id, kind })
    };
    entries.map(item).collect().await
}
