//! The log's suite on the file.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_domain::Partitions;
use huddle_log::{Log, conformance::Fixture, log_conformance};
use huddle_service::config::ByteCount;

use crate::restartable::{Handle, Restartable};

struct File(Arc<Restartable>);

#[async_trait]
impl Fixture for File {
    async fn start(partitions: Partitions) -> Self {
        Self(Restartable::start(partitions, |_| {}).await)
    }

    async fn start_small() -> Option<Self> {
        let small = Restartable::start(Partitions::ONE, |config| config.max_bytes = ByteCount::mebibytes(2)).await;
        Some(Self(small))
    }

    async fn make_room(&self) {
        self.0.restart_with(|config| config.max_bytes = ByteCount::mebibytes(64)).await;
    }

    async fn handle(&self) -> Arc<dyn Log> {
        Arc::new(Handle(Arc::clone(&self.0)))
    }

    async fn kill_and_restart(&self) {
        self.0.kill_and_restart().await;
    }

    /// The events are rows of the store.
    fn forgets(&self) -> bool {
        false
    }
}

log_conformance!(File);
