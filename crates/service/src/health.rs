//! Whether this process should get traffic. It owns the components' states; it never checks anything itself.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use tokio::sync::watch;

use crate::lifecycle::Shutdown;

/// The name under which a draining process reports itself.
const DRAIN_CHECK: &str = "drain";

/// The readiness of a process: ready when every component is, and while it is not draining. Clones share the state.
#[derive(Debug, Clone)]
pub struct Readiness {
    // Component name to the reason why it is not ready, `None` when it is.
    components: watch::Sender<BTreeMap<&'static str, Option<Cow<'static, str>>>>,
    shutdown: Shutdown,
}

impl Readiness {
    /// No components yet, so ready, until `shutdown` begins: the first stage of the shutdown and "not ready" are one and the
    /// same step, so that no component can stop while the process still asks for traffic.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { components: watch::Sender::default(), shutdown }
    }

    /// Registers a component, not ready with the reason "starting". The same name twice is the same component.
    pub fn component(&self, name: &'static str) -> ComponentState {
        self.components.send_modify(|components| {
            components.entry(name).or_insert(Some(Cow::Borrowed("starting")));
        });
        ComponentState { name, components: self.components.clone() }
    }

    /// Whether traffic is welcome.
    pub fn is_ready(&self) -> bool {
        !self.shutdown.is_requested() && self.components.borrow().values().all(Option::is_none)
    }

    /// The state of every component, by name, and of the drain while there is one.
    pub fn report(&self) -> Report {
        let mut checks: Vec<Check> = self
            .components
            .borrow()
            .iter()
            .map(|(name, reason)| Check { name, ready: reason.is_none(), reason: reason.clone() })
            .collect();
        if self.shutdown.is_requested() {
            checks.push(Check { name: DRAIN_CHECK, ready: false, reason: Some(Cow::Borrowed("shutting down")) });
        }
        Report { ready: checks.iter().all(|check| check.ready), checks }
    }

    /// Waits until every component is ready. Returns `false` when the shutdown begins first.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost when the future is dropped.
    pub async fn wait_until_ready(&self) -> bool {
        let mut components = self.components.subscribe();
        tokio::select! {
            () = self.shutdown.soft().cancelled() => false,
            // The sender lives in `self`, so the channel does not close while this waits.
            outcome = components.wait_for(|components| components.values().all(Option::is_none)) => outcome.is_ok(),
        }
    }
}

/// One component's handle on the readiness. Dropping it leaves the last state in place.
#[derive(Debug, Clone)]
pub struct ComponentState {
    name: &'static str,
    components: watch::Sender<BTreeMap<&'static str, Option<Cow<'static, str>>>>,
}

impl ComponentState {
    /// The component works.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// The component does not work. `reason` is shown at the admin port: no secrets, no addresses with passwords.
    pub fn set_not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, state: Option<Cow<'static, str>>) {
        self.components.send_if_modified(|components| {
            let changed = components.get(self.name) != Some(&state);
            if changed {
                match &state {
                    None => tracing::info!(component = self.name, "component is ready"),
                    Some(reason) => tracing::warn!(component = self.name, %reason, "component is not ready"),
                }
                components.insert(self.name, state);
            }
            changed
        });
    }
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check is ready.
    pub ready: bool,
    /// The components, by name.
    pub checks: Vec<Check>,
}

/// One component in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The component's name.
    pub name: &'static str,
    /// Whether it works.
    pub ready: bool,
    /// Why it does not; `None` when it is ready.
    pub reason: Option<Cow<'static, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_component_is() {
        let readiness = Readiness::new(Shutdown::new());
        let nats = readiness.component("nats");
        let history = readiness.component("history");
        assert!(!readiness.is_ready());

        nats.set_ready();
        assert!(!readiness.is_ready());
        history.set_ready();
        assert!(readiness.is_ready());

        nats.set_not_ready("disconnected");
        assert!(!readiness.is_ready());
        let report = readiness.report();
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"ready":false,"checks":[{"name":"history","ready":true,"reason":null},{"name":"nats","ready":false,"reason":"disconnected"}]}"#
        );
    }

    #[test]
    fn a_component_that_was_just_named_is_starting() {
        let readiness = Readiness::new(Shutdown::new());
        let _component = readiness.component("store");
        assert_eq!(readiness.report().checks[0].reason.as_deref(), Some("starting"));
    }

    #[test]
    fn naming_a_component_again_keeps_its_state() {
        let readiness = Readiness::new(Shutdown::new());
        readiness.component("store").set_ready();
        let _again = readiness.component("store");
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_draining_process_is_not_ready() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(shutdown.clone());
        readiness.component("nats").set_ready();
        assert!(readiness.is_ready());

        shutdown.request();
        assert!(!readiness.is_ready());
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.checks.last().map(|check| check.name), Some(DRAIN_CHECK));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_component_or_with_the_shutdown() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(shutdown.clone());
        let nats = readiness.component("nats");
        let (ready, ()) = tokio::join!(readiness.wait_until_ready(), async { nats.set_ready() });
        assert!(ready);

        nats.set_not_ready("disconnected");
        let (ready, ()) = tokio::join!(readiness.wait_until_ready(), async { shutdown.request() });
        assert!(!ready);
    }
}
