//! Servers and streams that are not fit for the log: each is refused with what is wrong and what to do.

use std::time::Duration;

use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use huddle_devstack::{NatsOptions, NatsRelease, free_port};
use huddle_domain::{ClientId, EventKind, NewEvent, Partition, Partitions, Seq, TeamId, UserId};
use huddle_log::{Condition, Log, LogError, PublishError};
use huddle_log_nats::{Config, NatsLog};
use huddle_service::config::ByteCount;

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);
const STREAM: &str = "HUDDLE_LOG_0";

/// The text of an `Unsuitable`, which says both what is wrong and what to do.
#[track_caller]
fn unsuitable<T: std::fmt::Debug>(outcome: Result<T, LogError>, parts: &[&str]) {
    match outcome {
        Err(error @ LogError::Unsuitable { .. }) => {
            let text = error.to_string();
            for part in parts {
                assert!(text.contains(part), "`{part}` is not in: {text}");
            }
        }
        outcome => panic!("{outcome:?}"),
    }
}

fn event(team: &str, client_id: &str) -> NewEvent {
    NewEvent {
        team: TeamId::parse(team).unwrap(),
        sender: UserId::parse("ann").unwrap(),
        client_id: ClientId::parse(client_id).unwrap(),
        kind: EventKind::TeamArchived,
    }
}

async fn one_node() -> Served {
    Served::start(NatsOptions::default(), Partitions::ONE).await
}

#[tokio::test]
async fn a_server_without_atomic_batches_is_refused() {
    let options = NatsOptions { release: NatsRelease::Old, ..NatsOptions::default() };
    let served = Served::start(options, Partitions::ONE).await;
    unsuitable(NatsLog::connect(served.config.clone()).await, &["version 2.10", "2.12 or newer", "upgrade"]);
}

#[tokio::test]
async fn a_server_without_jetstream_is_refused() {
    let options = NatsOptions { jetstream: false, ..NatsOptions::default() };
    let served = Served::start(options, Partitions::ONE).await;
    unsuitable(NatsLog::connect(served.config.clone()).await, &["JetStream is not enabled", "jetstream {"]);
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_and_then_reported() {
    let port = free_port().unwrap();
    let config = Config { servers: vec![format!("nats://user:secret@127.0.0.1:{port}")], ..Config::default() };
    match tokio::time::timeout(Duration::from_secs(30), NatsLog::connect(config)).await.unwrap() {
        Err(error @ LogError::Unavailable { .. }) => {
            assert!(error.is_retryable());
            assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
        }
        outcome => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let config = Config { servers: vec!["nats://a b".to_owned()], ..Config::default() };
    unsuitable(NatsLog::connect(config).await, &["`servers`", "nats://host:port"]);
}

#[tokio::test]
async fn more_replicas_than_servers_are_refused() {
    let served = one_node().await;
    let log = NatsLog::connect(Config { replicas: 3, ..served.config.clone() }).await.unwrap();
    unsuitable(log.prepare(PARTITION, Seq::ZERO).await, &["`replicas`", "cluster"]);
}

#[tokio::test]
async fn more_bytes_than_the_server_has_are_refused() {
    let served = one_node().await;
    let max_bytes = ByteCount::new(1 << 60);
    let log = NatsLog::connect(Config { max_bytes, ..served.config.clone() }).await.unwrap();
    unsuitable(log.prepare(PARTITION, Seq::ZERO).await, &["`max_bytes`", "max_file_store"]);
}

#[tokio::test]
async fn a_stream_with_other_settings_is_refused_by_name_of_the_setting() {
    type Change = fn(&mut stream::Config);
    let cases: [(&str, Change); 5] = [
        ("discard = Old", |settings| settings.discard = stream::DiscardPolicy::Old),
        ("allow_atomic = false", |settings| settings.allow_atomic_publish = false),
        ("allow_direct = false", |settings| settings.allow_direct = false),
        ("duplicate_window = 10s", |settings| settings.duplicate_window = Duration::from_secs(10)),
        ("republish = None", |settings| settings.republish = None),
    ];
    let served = one_node().await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let jetstream = served.jetstream().await;
    let good = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    for (problem, change) in cases {
        let mut settings = good.clone();
        change(&mut settings);
        jetstream.update_stream(settings).await.unwrap();
        unsuitable(log.check().await, &[problem, "nats stream edit HUDDLE_LOG_0"]);
        unsuitable(log.prepare(PARTITION, Seq::ZERO).await, &[problem]);
    }
    jetstream.update_stream(good).await.unwrap();
    log.check().await.unwrap();
}

#[tokio::test]
async fn other_sizes_concern_only_who_prepares() {
    let served = one_node().await;
    served.log().await.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let other = Config { max_age: Duration::from_hours(1), ..served.config.clone() };
    let log = NatsLog::connect(other).await.unwrap();
    log.check().await.unwrap();
    unsuitable(log.prepare(PARTITION, Seq::ZERO).await, &["max_age = 604800s", "3600s"]);
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let served = one_node().await;
    served.log().await.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let log = NatsLog::connect(Config { partitions: 2, ..served.config.clone() }).await.unwrap();
    unsuitable(log.check().await, &["a log of 1 partitions", "`partitions` is 2", "fixed for the life of the log"]);
}

#[tokio::test]
async fn subjects_that_another_stream_takes_are_reported() {
    let served = one_node().await;
    let settings =
        stream::Config { name: "OTHER".to_owned(), subjects: vec!["huddle.>".to_owned()], ..stream::Config::default() };
    served.jetstream().await.create_stream(settings).await.unwrap();
    unsuitable(served.log().await.prepare(PARTITION, Seq::ZERO).await, &["overlap", "huddle.log.>"]);
}

#[tokio::test]
async fn publishing_to_a_partition_that_is_missing_fails_at_once() {
    let served = one_node().await;
    let log = served.log().await;
    let published = async { log.publish(event("a", "1"), Condition::None).await?.await };
    match tokio::time::timeout(Duration::from_secs(5), published).await.unwrap() {
        Err(PublishError::Unavailable { source }) => assert!(source.to_string().contains("does not exist"), "{source}"),
        outcome => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn a_full_log_refuses_and_forgets_nothing() {
    let served = one_node().await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let publish = |client_id| {
        let log = &log;
        async move { log.publish(event("a", client_id), Condition::None).await?.await }
    };
    let first = publish("1").await.unwrap();
    let jetstream = served.jetstream().await;
    let mut settings = jetstream.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    settings.max_bytes = 1;
    jetstream.update_stream(settings).await.unwrap();
    let outcomes = tokio::join!(publish("2"), publish("3"), publish("4"));
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        assert!(matches!(outcome, Err(PublishError::Full)), "{outcome:?}");
    }
    assert_eq!(log.last_seq(&TeamId::parse("a").unwrap()).await.unwrap(), Some(first.seq));
}

#[tokio::test]
async fn a_reader_of_a_deleted_stream_is_told() {
    let served = one_node().await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let mut reader = log.read(PARTITION, Seq::ZERO).await.unwrap();
    served.jetstream().await.delete_stream(STREAM).await.unwrap();
    match tokio::time::timeout(Duration::from_secs(20), reader.next()).await.unwrap() {
        Some(Err(LogError::Missing { partition })) => assert_eq!(partition, PARTITION),
        outcome => panic!("{outcome:?}"),
    }
    assert!(reader.next().await.is_none());
}
