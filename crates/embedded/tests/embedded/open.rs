//! What cannot be opened is told plainly, and left as it is.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use huddle_domain::{Partition, Seq};
use huddle_embedded::{Config, Embedded, OpenError};
use huddle_log::{Condition, Log as _, PublishError};
use huddle_service::config::ByteCount;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::samples::{numbered, publish};

fn config(directory: &TempDir) -> Config {
    Config { directory: directory.path().join("data"), ..Config::default() }
}

fn file(config: &Config) -> PathBuf {
    config.directory.join("huddle.db")
}

/// A closed file with `events` events in it.
async fn filled(directory: &TempDir, events: usize) -> Config {
    let config = config(directory);
    let embedded = Embedded::open(&config).await.unwrap();
    embedded.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    for number in 0..events {
        publish(&*embedded, numbered("a", number)).await.unwrap();
    }
    embedded.close().await;
    config
}

async fn change(path: &Path, statement: &str) {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Opening fails as `expected` says, whether for writing or for reading, and changes no byte.
async fn check_refused(config: &Config, expected: impl Fn(&OpenError) -> bool, told: &str) {
    let before = fs::read(file(config)).unwrap();
    for error in [Embedded::open(config).await.unwrap_err(), Embedded::open_read_only(config).await.unwrap_err()] {
        assert!(expected(&error), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(told) && text.contains(&config.directory.display().to_string()), "{text}");
    }
    assert!(fs::read(file(config)).unwrap() == before, "the file was changed");
}

#[tokio::test]
async fn a_directory_has_one_process_that_writes_and_any_number_that_read() {
    let directory = TempDir::new().unwrap();
    let config = config(&directory);
    let first = Embedded::open(&config).await.unwrap();
    first.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    let error = Embedded::open(&config).await.unwrap_err().to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())) && error.contains("--data-dir"), "{error}");
    Embedded::open_read_only(&config).await.unwrap();
    publish(&*first, numbered("a", 1)).await.unwrap();
    first.close().await;
    drop(first);
    Embedded::open(&config).await.unwrap();
}

#[tokio::test]
async fn a_closed_instance_is_one_private_file_that_opens_again_unchanged() {
    let directory = TempDir::new().unwrap();
    let config = filled(&directory, 10).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&config.directory), mode(&file(&config))), (0o700, 0o600));
    let mut names: Vec<_> = fs::read_dir(&config.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["huddle.db", "huddle.lock"]);
    let before = fs::read(file(&config)).unwrap();
    Embedded::open(&config).await.unwrap().close().await;
    assert!(fs::read(file(&config)).unwrap() == before, "a look has changed the file");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let config = filled(&directory, 1).await;
    let migration = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (99999999999999, 'to come', true, x'00', 0)";
    change(&file(&config), migration).await;
    check_refused(&config, |error| matches!(error, OpenError::Newer { .. }), "newer version of huddle").await;
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let config = config(&directory);
    fs::create_dir(&config.directory).unwrap();
    fs::write(file(&config), "").unwrap();
    change(&file(&config), "CREATE TABLE bookmarks (url TEXT)").await;
    check_refused(&config, |error| matches!(error, OpenError::NotHuddle { .. }), "another program").await;
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    const PAGE_BYTES: u64 = 4_096;
    let directory = TempDir::new().unwrap();
    let config = filled(&directory, 500).await;
    let path = file(&config);
    let pages = fs::metadata(&path).unwrap().len() / PAGE_BYTES;
    let damaged = |error: &OpenError| matches!(error, OpenError::Damaged { .. });
    let written = fs::File::options().write(true).open(&path).unwrap();
    // In the middle: what a look at the head alone would not find.
    written.write_all_at(&[0xa5; 4_096], pages / 2 * PAGE_BYTES).unwrap();
    check_refused(&config, damaged, "damaged").await;
    // The head.
    written.write_all_at(b"not a file of SQLite at all", 0).unwrap();
    check_refused(&config, damaged, "damaged").await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let directory = TempDir::new().unwrap();
    let config = filled(&directory, 1).await;
    let error = Embedded::open(&Config { partitions: 3, ..config }).await.unwrap_err();
    assert!(matches!(error, OpenError::Partitions { found: 1, .. }), "{error}");
    assert!(error.to_string().contains("`embedded.partitions` to 1"), "{error}");
}

#[tokio::test]
async fn nothing_to_read_is_told() {
    let directory = TempDir::new().unwrap();
    let error = Embedded::open_read_only(&config(&directory)).await.unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    let blocked = directory.path().join("data");
    fs::write(blocked, "a file where the directory should be").unwrap();
    let error = Embedded::open(&config(&directory)).await.unwrap_err().to_string();
    assert!(error.contains("--data-dir"), "{error}");
}

#[tokio::test]
async fn a_full_file_refuses_keeps_what_it_has_and_goes_on_with_more_room() {
    let directory = TempDir::new().unwrap();
    let config = Config { max_bytes: ByteCount::mebibytes(1), ..config(&directory) };
    let embedded = Embedded::open(&config).await.unwrap();
    embedded.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        // In flights of 64, so that a full transaction holds several.
        let base = acknowledged.len();
        let mut flight = Vec::new();
        for number in base..base + 64 {
            flight.push((number, embedded.publish(numbered("a", number), Condition::None).await.unwrap()));
        }
        let mut refused = 0;
        for (number, pending) in flight {
            match pending.await {
                Ok(published) => acknowledged.push((number, published.seq)),
                Err(PublishError::Full) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        if refused > 0 {
            break refused;
        }
    };
    assert_eq!(refused, 64, "a transaction happens whole or not at all");
    // It stays readable, and goes on refusing.
    assert_eq!(embedded.last_seq(&numbered("a", 0).team).await.unwrap(), acknowledged.last().map(|(_, seq)| *seq));
    embedded.close().await;
    drop(embedded);

    let roomier = Config { max_bytes: ByteCount::mebibytes(8), ..config };
    let embedded = Embedded::open(&roomier).await.unwrap();
    for (number, seq) in acknowledged.iter().step_by(50) {
        let repeat = publish(&*embedded, numbered("a", *number)).await.unwrap();
        assert_eq!((repeat.seq, repeat.duplicate), (*seq, true));
    }
    let next = publish(&*embedded, numbered("a", acknowledged.len())).await.unwrap();
    assert_eq!(next.seq, acknowledged.last().unwrap().1.next());
}
