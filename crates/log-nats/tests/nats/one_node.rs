//! The log's guarantees on one NATS server, which is killed.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_devstack::NatsOptions;
use huddle_domain::{Partitions, TeamId};
use huddle_log::{Log, conformance::Fixture};

use crate::support::Served;

struct OneNode(Served);

#[async_trait]
impl Fixture for OneNode {
    async fn start(partitions: Partitions) -> Self {
        Self(Served::start(NatsOptions::default(), partitions).await)
    }

    async fn handle(&self) -> Arc<dyn Log> {
        Arc::new(self.0.log().await)
    }

    async fn kill_and_restart(&self) {
        let mut nats = self.0.nats.lock().await;
        nats.node(0).kill9().unwrap();
        nats.restart().await.unwrap();
    }

    async fn append_raw(&self, team: &TeamId, payload: &[u8]) -> bool {
        self.0.append_raw(team, payload).await;
        true
    }

    async fn start_small() -> Option<Self> {
        Some(Self(Served::start_small(NatsOptions::default()).await))
    }

    async fn make_room(&self) {
        self.0.make_room().await;
    }
}

huddle_log::log_conformance!(OneNode);
