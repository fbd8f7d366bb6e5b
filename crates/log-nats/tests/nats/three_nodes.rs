//! The core of the log's guarantees on a cluster of three NATS servers, where it is the leader that is killed.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_devstack::NatsOptions;
use huddle_domain::{Partitions, TeamId};
use huddle_log::{Log, conformance::Fixture};

use crate::support::Served;

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
}

huddle_log::log_conformance! { ThreeNodes;
    an_abrupt_end_loses_and_doubles_nothing
    a_repeated_first_event_is_a_duplicate
    concurrent_repeats_append_once
    exactly_one_of_many_first_events_wins
    feeds_tell_of_what_they_may_have_missed
    last_seq_is_not_behind_an_acknowledged_append
    live_events_ascend_and_chain
    nothing_is_missed_between_subscribing_and_asking_for_the_last_seq
    preparing_twice_and_at_once_is_harmless
    repeats_among_others_append_once
}
