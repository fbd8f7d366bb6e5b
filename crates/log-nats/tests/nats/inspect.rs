//! What a check-up is told.

use huddle_devstack::NatsOptions;
use huddle_domain::{Partition, Partitions, Seq};
use huddle_log::Log as _;
use huddle_log_nats::{Config, inspect};

use crate::support::Served;

#[tokio::test]
async fn servers_clocks_and_partitions_are_told_of() {
    let served = Served::start(NatsOptions::cluster(), Partitions::new(2).unwrap()).await;
    let log = served.log().await;
    let before = inspect(&served.config).await.unwrap();
    assert!(before.clock.is_none() && before.partitions.iter().all(|partition| partition.found.is_none()));
    assert_eq!(before.partitions.len(), 2);

    log.prepare(Partition::new(1), Seq::ZERO).await.unwrap();
    let max_age = std::time::Duration::from_hours(1);
    let found = inspect(&Config { max_age, ..served.config.clone() }).await.unwrap();
    for (server, name) in found.servers.iter().zip(["n1", "n2", "n3"]) {
        let facts = server.answer.as_ref().unwrap();
        assert_eq!((facts.name.as_str(), facts.cluster.as_deref()), (name, Some("huddle")));
        assert!(facts.version.starts_with("2."), "{}", facts.version);
    }
    let clock = found.clock.unwrap();
    assert!(clock.asked_at <= clock.server_time && clock.server_time <= clock.answered_at, "{clock:?}");
    assert!(found.partitions[0].found.is_none());
    let stream = found.partitions[1].found.as_ref().unwrap();
    assert_eq!((stream.replicas, stream.messages, stream.bytes), (3, 0, 0));
    assert_eq!(stream.last_seq, Seq::new(1_000_000));
    assert_eq!(stream.max_bytes, Some(served.config.max_bytes.as_u64()));
    assert!(stream.unfit.as_ref().unwrap().contains("max_age"));
    assert!(!stream.is_fenced && stream.leader.is_some() && stream.servers_away.is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_is_told_of_without_its_password() {
    let served = Served::start(NatsOptions::cluster(), Partitions::ONE).await;
    served.log().await.prepare(Partition::new(0), Seq::ZERO).await.unwrap();
    let leader = served.leader_after(None).await;
    let away = (leader + 1) % 3;
    served.nats.lock().await.node(away).kill9().unwrap();
    let mut config = served.config.clone();
    config.servers[away] = config.servers[away].replace("nats://", "nats://ann:secret@");
    let found = loop {
        let found = inspect(&config).await.unwrap();
        let stream = found.partitions[0].found.as_ref().unwrap();
        if stream.servers_away == [format!("n{}", away + 1)] {
            break found;
        }
    };
    let answers: Vec<_> = found.servers.iter().map(|server| server.answer.is_ok()).collect();
    assert_eq!(answers, (0..3).map(|index| index != away).collect::<Vec<_>>());
    assert_eq!(found.servers[away].address, served.config.servers[away]);
    assert!(!format!("{found:?}").contains("secret"));
}
