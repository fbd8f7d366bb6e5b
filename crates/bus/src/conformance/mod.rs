//! The guarantees of [`Bus`] as tests: one suite for every implementation.
//!
//! An implementation writes a [`Fixture`] for the real thing and calls [`bus_conformance!`](crate::bus_conformance) once in a
//! test file. Every test starts a bus of its own.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test that fails panics")]

mod listening;
mod outages;
mod overload;
mod payloads;
mod requests;
mod support;

use std::sync::Arc;

use async_trait::async_trait;

use crate::Bus;

pub use listening::{
    a_dropped_feed_of_signals_costs_the_others_nothing, signals_of_one_task_arrive_in_their_order,
    signals_reach_everyone_who_listens_and_no_other_team, what_is_signalled_after_listening_has_begun_arrives,
};
pub use outages::{a_killed_peer_is_told_at_once, signals_and_serving_go_on_after_an_outage};
pub use overload::{
    a_listener_that_does_not_read_loses_the_oldest_and_delays_nobody, an_overloaded_peer_blocks_no_other,
};
pub use payloads::{a_reply_beyond_the_limit_is_no_answer, payloads_up_to_the_limit_pass_and_no_larger};
pub use requests::{
    a_late_reply_reaches_nobody, a_peer_that_nobody_serves_is_told_at_once,
    a_peer_that_stopped_serving_is_told_at_once, a_request_that_the_peer_lets_go_of_is_told_at_once,
    feeds_end_with_the_bus, patience_is_kept, requests_reach_their_peer_and_get_their_own_replies,
};

/// The real thing under test, from outside. It ends when the fixture is dropped.
#[async_trait]
pub trait Fixture: Send + Sync + Sized + 'static {
    /// Whether what is listened to or served through one handle is known to all handles at once. In a cluster of servers it
    /// is known a little later: the tests wait for that where it is not what they are about.
    const IS_KNOWN_AT_ONCE: bool = true;

    /// Starts a bus.
    async fn start() -> Self;

    /// A handle: of its own, as another process would have it, where the implementation allows several; the same one every
    /// time where it does not.
    async fn handle(&self) -> Arc<dyn Bus>;
}

/// What can happen to a bus that goes over a server.
#[async_trait]
pub trait Outages: Fixture {
    /// What ends a process.
    type Kill: Send;

    /// A handle in a process that is to be killed.
    async fn doomed(&self) -> (Arc<dyn Bus>, Self::Kill);

    /// Ends the process of a doomed handle, or at least its connections, as abruptly as can be. Returns when that is done.
    async fn kill(&self, kill: Self::Kill);

    /// Ends what holds the bus as abruptly as can be (kill -9), and starts it again. Returns when it can be used again.
    /// Handles live on.
    async fn kill_and_restart(&self);
}

/// Makes one test for each guarantee, for the given [`Fixture`]; with `outages` after it, also for those of [`Outages`].
/// The test crate needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! bus_conformance {
    ($fixture:ty) => {
        $crate::bus_conformance! { @tests $fixture;
            a_dropped_feed_of_signals_costs_the_others_nothing
            a_late_reply_reaches_nobody
            a_listener_that_does_not_read_loses_the_oldest_and_delays_nobody
            a_peer_that_nobody_serves_is_told_at_once
            a_peer_that_stopped_serving_is_told_at_once
            a_reply_beyond_the_limit_is_no_answer
            a_request_that_the_peer_lets_go_of_is_told_at_once
            an_overloaded_peer_blocks_no_other
            feeds_end_with_the_bus
            patience_is_kept
            payloads_up_to_the_limit_pass_and_no_larger
            requests_reach_their_peer_and_get_their_own_replies
            signals_of_one_task_arrive_in_their_order
            signals_reach_everyone_who_listens_and_no_other_team
            what_is_signalled_after_listening_has_begun_arrives
        }
    };
    ($fixture:ty, outages) => {
        $crate::bus_conformance! { $fixture }
        $crate::bus_conformance! { @tests $fixture;
            a_killed_peer_is_told_at_once
            signals_and_serving_go_on_after_an_outage
        }
    };
    (@tests $fixture:ty; $($guarantee:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $guarantee() {
                $crate::conformance::$guarantee::<$fixture>().await;
            }
        )+
    };
}
