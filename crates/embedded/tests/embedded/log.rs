//! The log's suite on the file.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_domain::Partitions;
use huddle_log::{Log, conformance::Fixture, log_conformance};

use crate::restartable::{Handle, Restartable};

struct File(Arc<Restartable>);

#[async_trait]
impl Fixture for File {
    async fn start(partitions: Partitions) -> Self {
        Self(Restartable::start(partitions, |_| {}).await)
    }

    async fn handle(&self) -> Arc<dyn Log> {
        Arc::new(Handle(Arc::clone(&self.0)))
    }

    async fn kill_and_restart(&self) {
        self.0.kill_and_restart().await;
    }
}

log_conformance!(File);
