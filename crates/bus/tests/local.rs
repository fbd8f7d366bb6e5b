//! The bus's guarantees within one process.

use std::sync::Arc;

use async_trait::async_trait;
use huddle_bus::{Bus, LocalBus, conformance::Fixture};

struct Local(Arc<LocalBus>);

#[async_trait]
impl Fixture for Local {
    async fn start() -> Self {
        Self(Arc::new(LocalBus::new()))
    }

    async fn handle(&self) -> Arc<dyn Bus> {
        self.0.clone()
    }
}

huddle_bus::bus_conformance!(Local);
