//! The guarantees of [`Log`] as tests: one suite for every implementation.
//!
//! An implementation writes a [`Fixture`] for the real thing and calls [`log_conformance!`](crate::log_conformance) once
//! in a test file. Every test starts a log of its own.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test that fails panics")]

mod advance;
mod bounds;
mod by_team;
mod duplicates;
mod first_of_team;
mod live;
mod order;
mod positions;
mod prepare;
mod reading;
mod restart;
mod stored;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use huddle_domain::{Partitions, TeamId};

use crate::Log;

pub use advance::{
    a_missing_partition_is_not_advanced, advancing_to_where_the_log_is_changes_nothing,
    advancing_under_writers_loses_and_doubles_nothing, events_after_advancing_lie_above,
    repeats_over_advancing_never_get_another_position, unstored_entries_outlive_advancing,
};
pub use bounds::{
    a_full_log_refuses_forgets_nothing_and_goes_on, ids_of_every_character_and_length_are_kept_apart,
    the_largest_events_are_kept,
};
pub use by_team::{
    a_page_from_before_the_log_is_none, a_page_that_the_log_cannot_complete_is_none,
    a_teams_events_are_read_between_two_positions, pages_read_while_others_append_have_no_holes,
    undecodable_entries_are_left_out_of_a_page,
};
pub use duplicates::{
    concurrent_repeats_append_once, keys_of_others_never_collide, other_content_under_the_same_key_is_a_conflict,
    repeats_after_a_restart_get_the_first_position, repeats_among_others_append_once, repeats_get_the_first_position,
};
pub use first_of_team::{a_repeated_first_event_is_a_duplicate, exactly_one_of_many_first_events_wins};
pub use live::{
    feeds_and_reader_agree_event_for_event, last_seq_is_not_behind_an_acknowledged_append,
    nothing_is_missed_between_subscribing_and_asking_for_the_last_seq,
};
pub use order::{live_events_ascend_and_chain, many_writers_make_one_order, order_of_one_caller_is_kept};
pub use positions::positions_of_every_size_are_kept;
pub use prepare::{
    a_log_behind_the_store_is_refused, a_new_log_starts_far_above_what_is_stored,
    a_partition_is_missing_until_prepared, preparing_twice_and_at_once_is_harmless,
};
pub use reading::{
    entries_are_read_from_any_position, entries_that_come_while_reading_are_read, undecodable_entries_are_handed_out,
};
pub use restart::{
    a_burst_in_flight_at_an_abrupt_end_settles, an_abrupt_end_loses_and_doubles_nothing,
    feeds_tell_of_what_they_may_have_missed,
};
pub use stored::announced_positions_reach_every_listener;

/// The real thing under test, from outside. It ends when the fixture is dropped.
#[async_trait]
pub trait Fixture: Send + Sync + Sized + 'static {
    /// Starts an empty log of `partitions`, none of them prepared.
    async fn start(partitions: Partitions) -> Self;

    /// A handle: of its own, as another process would have it, where the implementation allows several; the same
    /// one every time where it does not.
    async fn handle(&self) -> Arc<dyn Log>;

    /// Ends what holds the log as abruptly as can be (kill -9) whatever is under way, and starts it again with its data.
    /// Returns when it can be used again. Handles live on: what is asked of them meanwhile waits or is `Unavailable`,
    /// feeds tell of an interruption and go on, readers end with an error that is retryable.
    async fn kill_and_restart(&self);

    /// Puts bytes that are no event into `team`'s log; `false` when this implementation has no way to.
    async fn append_raw(&self, _team: &TeamId, _payload: &[u8]) -> bool {
        false
    }

    /// Whether the log lets go of events that are stored.
    fn forgets(&self) -> bool {
        true
    }

    /// Starts an empty log of one partition, not prepared, that is full after some messages of the largest size (16 KB): at
    /// least 4, fewer than 2,000, the fewer the faster. `None` when this implementation has no bound.
    async fn start_small() -> Option<Self> {
        None
    }

    /// Gives a log from [`Fixture::start_small`] room for 200 more of the largest messages. It may be stopped for that and
    /// started with another bound; handles live on as in [`Fixture::kill_and_restart`].
    async fn make_room(&self) {}
}

/// Makes one test for each guarantee, for the given [`Fixture`]; with names after it, for these guarantees only. The
/// calling crate needs `tokio` with its macros.
#[macro_export]
macro_rules! log_conformance {
    ($fixture:ty) => {
        $crate::log_conformance! { $fixture;
            a_burst_in_flight_at_an_abrupt_end_settles
            a_full_log_refuses_forgets_nothing_and_goes_on
            a_log_behind_the_store_is_refused
            a_missing_partition_is_not_advanced
            a_new_log_starts_far_above_what_is_stored
            a_page_from_before_the_log_is_none
            a_page_that_the_log_cannot_complete_is_none
            a_partition_is_missing_until_prepared
            a_repeated_first_event_is_a_duplicate
            a_teams_events_are_read_between_two_positions
            advancing_to_where_the_log_is_changes_nothing
            advancing_under_writers_loses_and_doubles_nothing
            an_abrupt_end_loses_and_doubles_nothing
            announced_positions_reach_every_listener
            concurrent_repeats_append_once
            entries_are_read_from_any_position
            entries_that_come_while_reading_are_read
            events_after_advancing_lie_above
            exactly_one_of_many_first_events_wins
            feeds_and_reader_agree_event_for_event
            feeds_tell_of_what_they_may_have_missed
            ids_of_every_character_and_length_are_kept_apart
            keys_of_others_never_collide
            last_seq_is_not_behind_an_acknowledged_append
            live_events_ascend_and_chain
            many_writers_make_one_order
            nothing_is_missed_between_subscribing_and_asking_for_the_last_seq
            order_of_one_caller_is_kept
            other_content_under_the_same_key_is_a_conflict
            pages_read_while_others_append_have_no_holes
            positions_of_every_size_are_kept
            preparing_twice_and_at_once_is_harmless
            repeats_after_a_restart_get_the_first_position
            repeats_among_others_append_once
            repeats_get_the_first_position
            repeats_over_advancing_never_get_another_position
            the_largest_events_are_kept
            undecodable_entries_are_handed_out
            undecodable_entries_are_left_out_of_a_page
            unstored_entries_outlive_advancing
        }
    };
    ($fixture:ty; $($guarantee:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $guarantee() {
                $crate::conformance::$guarantee::<$fixture>().await;
            }
        )+
    };
}
