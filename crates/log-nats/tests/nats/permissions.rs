//! Servers that ask who comes, and let them do no more than they have to.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use huddle_bus::{Bus, BusError, PeerId};
use huddle_devstack::NatsOptions;
use huddle_domain::{ClientId, EventKind, NewEvent, Partition, Partitions, Seq, TeamId, UserId};
use huddle_log::{Condition, Log, LogError, StoredMark};
use huddle_log_nats::{Config, NatsBus, NatsLog, inspect};
use tokio::time::timeout;

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);
const PATIENCE: Duration = Duration::from_secs(20);
/// The password holds what an address can hold only in another way of writing: `s3cret@/`.
const PASSWORD_IN_ADDRESS: &str = "s3cret%40%2F";
/// What Huddle needs of a server, and nothing else.
const AUTHORIZATION: &str = r#"
    users: [{
        user: huddle, password: "s3cret@/"
        permissions: {
            publish: [
                "huddle.log.*.*", "huddle.stored.*", "huddle.signal.*", "huddle.gateway.*", "_INBOX.>", "$JS.API.>"
            ]
            subscribe: [
                "huddle.live.*.*", "huddle.stored.*", "huddle.signal.*", "huddle.gateway.* huddle", "_INBOX.>"
                "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*"
            ]
        }
    }]"#;

async fn guarded() -> Served {
    let options = NatsOptions { authorization: Some(AUTHORIZATION.to_owned()), ..NatsOptions::default() };
    let mut served = Served::start(options, Partitions::ONE).await;
    for server in &mut served.config.servers {
        *server = server.replace("nats://", &format!("nats://huddle:{PASSWORD_IN_ADDRESS}@"));
    }
    served
}

/// Fails with what the server has refused.
async fn assert_nothing_refused(served: &Served) {
    let log = served.nats.lock().await.node(0).process().log_tail(usize::MAX);
    assert!(!log.contains("Violation"), "{log}");
}

#[tokio::test]
async fn the_log_needs_no_other_permissions() {
    let served = guarded().await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    log.check().await.unwrap();
    let team = TeamId::parse("a").unwrap();
    let mut live = log.subscribe(&team).await.unwrap();
    let mut marks = log.stored_marks().await.unwrap();
    let mut reader = log.read(PARTITION, Seq::ZERO).await.unwrap();
    let mut pending = Vec::new();
    for number in 0..10 {
        let event = NewEvent {
            team: team.clone(),
            sender: UserId::parse("ann").unwrap(),
            client_id: ClientId::parse(&number.to_string()).unwrap(),
            kind: EventKind::TeamArchived,
        };
        pending.push(log.publish(event, Condition::None).await.unwrap());
    }
    for pending in pending {
        let seq = timeout(PATIENCE, pending).await.unwrap().unwrap().seq;
        let page = log.events_between(&team, Seq::new(seq.get() - 1), seq).await.unwrap();
        assert_eq!(page.map(|page| page.len()), Some(1));
        timeout(PATIENCE, live.next()).await.unwrap().unwrap();
        timeout(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap();
    }
    let last = log.last_seq(&team).await.unwrap().unwrap();
    log.announce_stored(StoredMark { partition: PARTITION, seq: last }).await.unwrap();
    timeout(PATIENCE, marks.next()).await.unwrap().unwrap();
    log.advance(PARTITION, last, Seq::new(9_000_000)).await.unwrap();
    let found = inspect(&served.config).await.unwrap();
    assert!(found.servers.iter().all(|server| server.answer.is_ok()), "{found:?}");
    assert_nothing_refused(&served).await;
}

#[tokio::test]
async fn the_bus_needs_no_other_permissions() {
    let served = guarded().await;
    let bus = NatsBus::connect(&served.config).await.unwrap();
    let (team, peer) = (TeamId::parse("a").unwrap(), PeerId::random());
    let mut signals = bus.signals(&team).await.unwrap();
    bus.signal(&team, Bytes::from_static(b"!")).await.unwrap();
    assert_eq!(timeout(PATIENCE, signals.next()).await.unwrap().unwrap(), "!");
    let mut requests = bus.serve(&peer).await.unwrap();
    let answering = async { requests.next().await.unwrap().reply(Bytes::from_static(b"answer")) };
    let (reply, ()) = tokio::join!(bus.request(&peer, Bytes::new(), PATIENCE), answering);
    assert_eq!(reply.unwrap(), "answer");
    let outcome = bus.request(&PeerId::random(), Bytes::new(), PATIENCE).await;
    assert!(matches!(outcome, Err(BusError::NoPeer)), "{outcome:?}");
    assert_nothing_refused(&served).await;
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_not_shown() {
    let served = guarded().await;
    let servers = served.config.servers.iter().map(|server| server.replace("s3cret", "wrong")).collect();
    let config = Config { servers, ..served.config.clone() };
    for outcome in [NatsLog::connect(config.clone()).await.map(drop), NatsBus::connect(&config).await.map(drop)] {
        match outcome {
            Err(error @ LogError::Unsuitable { .. }) => {
                let text = format!("{error:?} {error}");
                assert!(text.contains("credentials") && !text.contains("wrong"), "{text}");
            }
            outcome => panic!("{outcome:?}"),
        }
    }
}
