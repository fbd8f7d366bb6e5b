//! The core of the log's guarantees on a cluster of three NATS servers, where it is the leader that is killed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::join_all};
use huddle_devstack::NatsOptions;
use huddle_domain::{ClientId, Event, EventKind, NewEvent, Partition, Partitions, Seq, TeamId, UserId};
use huddle_log::{Condition, Log, LogError, PublishError, conformance::Fixture};
use huddle_log_nats::{Config, NatsLog};
use tokio::time::timeout;

use crate::support::Served;

const PARTITION: Partition = Partition::new(0);
const PATIENCE: Duration = Duration::from_secs(40);

struct ThreeNodes(Served);

#[async_trait]
impl Fixture for ThreeNodes {
    async fn start(partitions: Partitions) -> Self {
        Self(Served::start(NatsOptions::cluster(), partitions).await)
    }

    async fn handle(&self) -> Arc<dyn Log> {
        Arc::new(self.0.log().await)
    }

    /// Kills the leader, and brings its server back when another leads.
    async fn kill_and_restart(&self) {
        let leader = self.0.leader_after(None).await;
        self.0.nats.lock().await.node(leader).kill9().unwrap();
        self.0.leader_after(Some(leader)).await;
        self.0.nats.lock().await.restart().await.unwrap();
    }

    async fn append_raw(&self, team: &TeamId, payload: &[u8]) -> bool {
        self.0.append_raw(team, payload).await;
        true
    }

    async fn start_small() -> Option<Self> {
        Some(Self(Served::start_small(NatsOptions::cluster()).await))
    }

    async fn make_room(&self) {
        self.0.make_room().await;
    }
}

huddle_log::log_conformance! { ThreeNodes;
    a_burst_in_flight_at_an_abrupt_end_settles
    a_full_log_refuses_forgets_nothing_and_goes_on
    a_page_from_before_the_log_is_none
    a_page_that_the_log_cannot_complete_is_none
    advancing_to_where_the_log_is_changes_nothing
    advancing_under_writers_loses_and_doubles_nothing
    an_abrupt_end_loses_and_doubles_nothing
    a_repeated_first_event_is_a_duplicate
    a_teams_events_are_read_between_two_positions
    concurrent_repeats_append_once
    events_after_advancing_lie_above
    exactly_one_of_many_first_events_wins
    feeds_tell_of_what_they_may_have_missed
    last_seq_is_not_behind_an_acknowledged_append
    live_events_ascend_and_chain
    many_writers_make_one_order
    nothing_is_missed_between_subscribing_and_asking_for_the_last_seq
    pages_read_while_others_append_have_no_holes
    preparing_twice_and_at_once_is_harmless
    repeats_among_others_append_once
    repeats_over_advancing_never_get_another_position
    unstored_entries_outlive_advancing
}

/// A paused leader is worse than a dead one: its connections stay open and silent.
#[tokio::test]
async fn events_of_a_paused_leader_are_neither_lost_nor_doubled() {
    let served = Served::start(NatsOptions::cluster(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let leader = served.leader_after(None).await;
    served.nats.lock().await.node(leader).pause().unwrap();
    let mut positions = Vec::new();
    for number in 0..20 {
        positions.push(timeout(PATIENCE, publish_until_settled(&log, number)).await.unwrap());
    }
    served.nats.lock().await.node(leader).resume().unwrap();
    positions.push(timeout(PATIENCE, publish_until_settled(&log, 20)).await.unwrap());
    let mut reader = log.read(PARTITION, Seq::ZERO).await.unwrap();
    for position in positions {
        let entry = timeout(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(entry.seq, position);
    }
}

/// Whichever server answers, and however far behind it is: a page is whole, or there is none.
#[tokio::test]
async fn a_server_that_was_paused_never_makes_a_hole_in_a_page() {
    const ROUNDS: u32 = 6;
    const EVENTS: u32 = 30;
    let served = Served::start(NatsOptions::cluster(), Partitions::ONE).await;
    let log = served.log().await;
    log.prepare(PARTITION, Seq::ZERO).await.unwrap();
    let team = TeamId::parse("a").unwrap();
    let mut after = timeout(PATIENCE, publish_until_settled(&log, 0)).await.unwrap();
    // One on each server: each is answered by its own server's copy.
    let mut readers = Vec::new();
    for server in &served.config.servers {
        readers
            .push(NatsLog::connect(Config { servers: vec![server.clone()], ..served.config.clone() }).await.unwrap());
    }
    let (mut number, mut pages) = (1, 0);
    for round in 0..ROUNDS {
        let leader = served.leader_after(None).await;
        let paused = (leader + 1 + usize::try_from(round % 2).unwrap()) % 3;
        served.nats.lock().await.node(paused).pause().unwrap();
        let mut positions = Vec::new();
        for _ in 0..EVENTS {
            positions.push(timeout(PATIENCE, publish_until_settled(&log, number)).await.unwrap());
            number += 1;
        }
        let through = positions[positions.len() - 1];
        let mut check = |outcome: Result<Option<Vec<Arc<Event>>>, LogError>| match outcome {
            Ok(Some(page)) => {
                assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), positions);
                assert_eq!(page[0].prev_seq, after);
                pages += 1;
            }
            Ok(None) | Err(LogError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        };
        // While it is paused, and from the very moment on at which it is not.
        let asked = readers.iter().map(|reader| reader.events_between(&team, after, through));
        timeout(PATIENCE, join_all(asked)).await.unwrap().into_iter().for_each(&mut check);
        served.nats.lock().await.node(paused).resume().unwrap();
        for _ in 0..20 {
            let asked = readers.iter().map(|reader| reader.events_between(&team, after, through));
            timeout(PATIENCE, join_all(asked)).await.unwrap().into_iter().for_each(&mut check);
        }
        after = through;
    }
    assert!(pages > 0, "nobody ever had a page");
}

async fn publish_until_settled(log: &NatsLog, number: u32) -> Seq {
    loop {
        let event = NewEvent {
            team: TeamId::parse("a").unwrap(),
            sender: UserId::parse("ann").unwrap(),
            client_id: ClientId::parse(&number.to_string()).unwrap(),
            kind: EventKind::TeamArchived,
        };
        match log.publish(event, Condition::None).await.unwrap().await {
            Ok(published) => return published.seq,
            Err(PublishError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
