//! Real signals to this process. On its own, because signals reach every test of a binary.

use std::{convert::Infallible, process, time::Duration};

use huddle_service::lifecycle::{Lifecycle, LifecycleError};
use tokio::{process::Command, time::timeout};

const TEST_TIMEOUT: Duration = Duration::from_secs(20);

async fn signal_self(name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process::id().to_string()).status().await;
    assert!(matches!(sent, Ok(status) if status.success()), "the signal was not sent");
}

// One test, because two at once would receive each other's signals.
#[tokio::test]
async fn a_signal_begins_the_shutdown_and_a_second_one_aborts_it() {
    for name in ["TERM", "INT"] {
        let lifecycle = Lifecycle::new(TEST_TIMEOUT);
        let shutdown = lifecycle.shutdown();
        lifecycle.spawn("obedient", {
            let shutdown = shutdown.clone();
            async move {
                shutdown.soft().cancelled().await;
                Ok::<_, Infallible>(())
            }
        });
        // `join!` polls in this order: the handlers are in place before the signal is sent.
        let (outcome, ()) = tokio::join!(timeout(TEST_TIMEOUT, lifecycle.run_until_signal()), signal_self(name));
        outcome.unwrap().unwrap();
        assert!(shutdown.hard().is_cancelled());
    }

    let lifecycle = Lifecycle::new(TEST_TIMEOUT);
    let shutdown = lifecycle.shutdown();
    lifecycle.spawn("stubborn", std::future::pending::<Result<(), Infallible>>());
    let (outcome, ()) = tokio::join!(timeout(TEST_TIMEOUT, lifecycle.run_until_signal()), async {
        signal_self("TERM").await;
        shutdown.soft().cancelled().await;
        signal_self("TERM").await;
    });
    let error = outcome.unwrap().unwrap_err();
    assert!(matches!(error, LifecycleError::Aborted), "{error}");
}
