//! Owns the process's metric registry. What is measured is registered by the crate that measures it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{encoding::text, registry::Registry};

/// Put before the name of every metric.
const PREFIX: &str = "huddle";

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry to share: clones see the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    // Locked while registering and encoding only: the metrics themselves are atomics that their owners hold.
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry without metrics, whose names begin with `huddle_`.
    pub fn new() -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::with_prefix(PREFIX))) }
    }

    /// Lets `registration` add metrics. To be called before serving: a metric appears from then on.
    pub fn register<R>(&self, registration: impl FnOnce(&mut Registry) -> R) -> R {
        registration(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns all metrics as OpenMetrics text, of the media type [`CONTENT_TYPE`]. Fails only when a metric or
    /// collector refuses to encode itself.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_registered_metric_appears_under_the_prefix() {
        let metrics = Metrics::new();
        let sends = metrics.clone().register(|registry| {
            let sends: Counter = Counter::default();
            registry.register("sends", "Messages sent", sends.clone());
            sends
        });
        sends.inc();

        let text = metrics.encode().unwrap();
        assert!(text.contains("# HELP huddle_sends Messages sent."), "{text}");
        assert!(text.contains("huddle_sends_total 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
