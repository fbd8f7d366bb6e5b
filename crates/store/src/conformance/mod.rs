//! The suite that every implementation of the store passes.
//!
//! Implement [`Fixture`] for the real thing and write `huddle_store::store_conformance!(TheFixture);` in a file below
//! `tests/`: it becomes one test for each guarantee, each on a store of its own. Needs `tokio` with `macros` there.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a guarantee that does not hold is a panic")]

mod applying;
mod claims;
mod directory;
mod events;
mod fences;
mod fixture;
mod gaps;
mod importing;
mod mentions;
mod messages;
mod refusals;
mod samples;

pub use applying::{
    a_batch_is_stored_once_and_moves_the_position, a_batch_out_of_order_is_refused_and_writes_nothing,
    a_large_batch_is_stored_whole, every_kind_of_event_comes_back_as_it_was, hostile_texts_come_back_byte_for_byte,
    items_at_or_below_the_position_are_skipped, the_position_moves_over_a_stretch_without_events,
};
pub use claims::{
    a_batch_that_is_cut_short_happens_whole_or_not_at_all, a_dropped_writer_frees_its_claim,
    a_writer_goes_on_where_the_last_one_stopped, an_idle_claim_is_confirmed, one_of_many_claimants_wins,
    partitions_are_claimed_one_by_one, progress_is_seen_by_everyone,
    writers_of_different_partitions_work_at_the_same_time,
};
pub use directory::{
    a_member_comes_changes_and_goes, a_second_creation_takes_nothing_over, a_team_is_created_renamed_and_archived,
    members_and_teams_are_paged_in_byte_order, memberships_of_many_users_are_read_at_once,
    the_newest_name_of_a_user_is_shown_everywhere, what_is_not_there_is_not_found,
};
pub use events::{
    a_hundred_thousand_events_are_paged_by_key, a_thousand_sends_are_found_at_once,
    positions_are_paged_up_to_the_end_of_their_range, teams_do_not_see_each_other,
    teams_with_events_are_paged_in_byte_order, the_chain_of_positions_holds_across_pages,
};
pub use fences::{
    a_read_behind_its_fence_fails_with_how_far_the_store_is, a_read_with_a_fence_brings_what_it_brings_without,
};
pub use fixture::{Fixture, Store};
pub use gaps::{a_gap_is_on_record_with_the_events_beyond_it, a_gap_of_a_batch_that_fails_is_not_on_record};
pub use importing::{
    a_conflict_is_named_and_nothing_of_the_import_is_stored, an_import_below_later_events_does_not_undo_them,
    an_import_that_comes_again_changes_nothing, an_import_that_is_cut_short_happens_whole_or_not_at_all,
    imported_events_are_stored_below_the_position, imported_events_make_teams_and_members,
    imported_teams_may_share_positions, live_events_follow_on_imported_ones,
};
pub use mentions::{
    a_messages_tags_come_back_as_they_were, a_refused_message_mentions_nobody, imported_messages_mention_as_all_others,
    mentions_are_listed_newest_first_over_all_teams, names_of_many_users_are_read_at_once,
    only_teams_that_the_user_is_in_now_are_listed, the_same_text_with_other_tags_is_another_message,
};
pub use messages::{a_message_is_found_by_its_position_only, every_page_of_messages_is_exact};
pub use refusals::{
    a_late_duplicate_becomes_a_dead_letter, a_taken_position_becomes_a_dead_letter_and_the_first_event_stays,
    dead_letters_of_a_batch_are_recorded, keys_of_other_teams_and_senders_do_not_collide,
    refused_content_does_not_block_its_neighbours, the_same_event_again_is_neither_stored_nor_a_dead_letter,
};

/// Makes a test of each guarantee, on the fixture of the given type.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:ty) => {
        $crate::store_conformance! { @tests $fixture;
            a_batch_is_stored_once_and_moves_the_position
            a_batch_out_of_order_is_refused_and_writes_nothing
            a_batch_that_is_cut_short_happens_whole_or_not_at_all
            a_conflict_is_named_and_nothing_of_the_import_is_stored
            a_dropped_writer_frees_its_claim
            a_gap_is_on_record_with_the_events_beyond_it
            a_gap_of_a_batch_that_fails_is_not_on_record
            a_hundred_thousand_events_are_paged_by_key
            a_large_batch_is_stored_whole
            a_late_duplicate_becomes_a_dead_letter
            a_member_comes_changes_and_goes
            a_message_is_found_by_its_position_only
            a_messages_tags_come_back_as_they_were
            a_read_behind_its_fence_fails_with_how_far_the_store_is
            a_read_with_a_fence_brings_what_it_brings_without
            a_refused_message_mentions_nobody
            a_second_creation_takes_nothing_over
            a_taken_position_becomes_a_dead_letter_and_the_first_event_stays
            a_team_is_created_renamed_and_archived
            a_thousand_sends_are_found_at_once
            a_writer_goes_on_where_the_last_one_stopped
            an_idle_claim_is_confirmed
            an_import_below_later_events_does_not_undo_them
            an_import_that_comes_again_changes_nothing
            an_import_that_is_cut_short_happens_whole_or_not_at_all
            dead_letters_of_a_batch_are_recorded
            every_kind_of_event_comes_back_as_it_was
            every_page_of_messages_is_exact
            hostile_texts_come_back_byte_for_byte
            imported_events_are_stored_below_the_position
            imported_events_make_teams_and_members
            imported_messages_mention_as_all_others
            imported_teams_may_share_positions
            items_at_or_below_the_position_are_skipped
            keys_of_other_teams_and_senders_do_not_collide
            live_events_follow_on_imported_ones
            memberships_of_many_users_are_read_at_once
            members_and_teams_are_paged_in_byte_order
            mentions_are_listed_newest_first_over_all_teams
            names_of_many_users_are_read_at_once
            one_of_many_claimants_wins
            only_teams_that_the_user_is_in_now_are_listed
            partitions_are_claimed_one_by_one
            positions_are_paged_up_to_the_end_of_their_range
            progress_is_seen_by_everyone
            refused_content_does_not_block_its_neighbours
            teams_do_not_see_each_other
            teams_with_events_are_paged_in_byte_order
            the_chain_of_positions_holds_across_pages
            the_newest_name_of_a_user_is_shown_everywhere
            the_position_moves_over_a_stretch_without_events
            the_same_event_again_is_neither_stored_nor_a_dead_letter
            the_same_text_with_other_tags_is_another_message
            what_is_not_there_is_not_found
            writers_of_different_partitions_work_at_the_same_time
        }
    };
    (@tests $fixture:ty; $($guarantee:ident)*) => {
        $(
            #[tokio::test]
            async fn $guarantee() {
                let fixture = <$fixture as $crate::conformance::Fixture>::start().await;
                $crate::conformance::$guarantee(&fixture).await;
            }
        )*
    };
}
