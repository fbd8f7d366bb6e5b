//! Logs in production, on servers that do what they have to and on servers that do not.

use async_nats::jetstream::context::DeleteStreamErrorKind;
use futures_util::future::join_all;
use huddle_devstack::{Durability, NatsOptions, free_port};
use huddle_domain::{Partition, Partitions, Seq};
use huddle_log::{Log, LogError};
use huddle_log_nats::{Config, NatsLog, SyncPolicy, inspect};

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);

/// Three servers, and their monitoring addresses.
async fn three_nodes(durability: Durability) -> (Served, Vec<String>) {
    let served = Served::start(NatsOptions { durability, ..NatsOptions::cluster() }, Partitions::ONE).await;
    let mut nats = served.nats.lock().await;
    let monitors = (0..3).map(|index| format!("http://127.0.0.1:{}", nats.node(index).monitor_port())).collect();
    drop(nats);
    (served, monitors)
}

fn production(served: &Served, monitors: &[String]) -> Config {
    Config { production: true, sync_always: true, monitors: monitors.to_vec(), ..served.config.clone() }
}

#[track_caller]
fn assert_unsuitable<T: std::fmt::Debug>(outcome: Result<T, LogError>, words: &[&str]) {
    match outcome {
        Err(error @ LogError::Unsuitable { .. }) => {
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not all in: {text}");
        }
        outcome => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn servers_that_sync_are_fit_for_production_with_three_copies_only() {
    let (served, monitors) = three_nodes(Durability::Synced).await;
    let log = NatsLog::connect(production(&served, &monitors)).await.unwrap();
    // Made with one copy, by somebody who does not say that it is production.
    let small = NatsLog::connect(Config { replicas: 1, ..served.config.clone() }).await.unwrap();
    small.prepare(PARTITION, Seq::ZERO).await.unwrap();
    assert_unsuitable(log.check().await, &["num_replicas = 1", "nats stream edit HUDDLE_LOG_0 --replicas 3"]);
    assert_unsuitable(log.prepare(PARTITION, Seq::ZERO).await, &["num_replicas = 1"]);
    let jetstream = served.jetstream().await;
    // An answer can get lost; then the servers say next that there is no such stream.
    while let Err(error) = jetstream.delete_stream("HUDDLE_LOG_0").await {
        if matches!(error.kind(), DeleteStreamErrorKind::JetStream(_)) {
            break;
        }
    }
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    log.check().await.unwrap();
    let seen = inspect(&production(&served, &monitors)).await.unwrap().monitors;
    for (monitor, name) in seen.iter().zip(["n1", "n2", "n3"]) {
        let facts = monitor.answer.as_ref().unwrap();
        assert_eq!((facts.name.as_str(), facts.sync), (name, Some(SyncPolicy::Always)));
    }
}

#[tokio::test]
async fn servers_that_do_not_sync_are_refused_in_production() {
    let (served, monitors) = three_nodes(Durability::Relaxed).await;
    let outcome = NatsLog::connect(production(&served, &monitors)).await;
    assert_unsuitable(outcome, &["syncs to disk every 120s", "sync_interval: always"]);
    // Not asked.
    NatsLog::connect(production(&served, &[])).await.unwrap();
    NatsLog::connect(Config { production: false, ..production(&served, &monitors) }).await.unwrap();
}

#[tokio::test]
async fn in_production_every_monitor_has_to_answer_and_each_copy_needs_one() {
    let (served, mut monitors) = three_nodes(Durability::Synced).await;
    assert_unsuitable(NatsLog::connect(production(&served, &monitors[..2])).await, &["2 server(s)", "`sync_always`"]);
    let first = monitors[0].clone();
    monitors[2] = first;
    assert_unsuitable(NatsLog::connect(production(&served, &monitors)).await, &["2 server(s)"]);
    // Nobody listens there; who listens is no monitoring; who listens there says nothing.
    let client_port = served.config.servers[0].replace("nats://", "http://");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let asked = [nobody, client_port, silent].map(async |nobody| {
        let config = production(&served, &[&monitors[..2], std::slice::from_ref(&nobody)].concat());
        let outcome = NatsLog::connect(config.clone()).await;
        assert_unsuitable(outcome, &[&nobody, "where no NATS server says", "`sync_always` alone counts"]);
        let seen = inspect(&config).await.unwrap().monitors;
        assert!(seen[1].answer.is_ok() && seen[2].answer.is_err(), "{seen:?}");
    });
    join_all(asked).await;
}
