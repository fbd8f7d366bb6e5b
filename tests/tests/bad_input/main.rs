//! What a gateway and the services do with everything that is wrong: each thing has its own answer, nothing is lost by
//! it, and the logs tell no secret.

mod frames;
mod grpc;
mod ids;
mod limits;
mod members;
mod slow;
mod tokens;
mod world;

use anyhow::Result;
use huddle_tests::Backend;

use world::World;

huddle_tests::on_both_backends! {
    every_bad_input_has_its_own_answer_and_nothing_is_lost,
}

async fn every_bad_input_has_its_own_answer_and_nothing_is_lost(backend: Backend) -> Result<()> {
    let mut world = Box::pin(World::start(backend)).await?;
    Box::pin(frames::undecodable_frames_are_answered(&mut world)).await?;
    Box::pin(frames::broken_websocket_frames_end_the_connection(&mut world)).await?;
    Box::pin(frames::pings_are_answered_with_their_payload(&mut world)).await?;
    Box::pin(tokens::hello_comes_first_and_in_time(&mut world)).await?;
    Box::pin(tokens::only_good_tokens_are_let_in(&mut world)).await?;
    Box::pin(tokens::revoked_tokens_are_let_in_nowhere(&mut world)).await?;
    Box::pin(tokens::a_connection_keeps_its_user(&mut world)).await?;
    Box::pin(tokens::only_allowed_origins_and_known_subprotocols_are_let_in(&mut world)).await?;
    Box::pin(ids::ids_outside_the_alphabet_are_refused(&mut world)).await?;
    Box::pin(ids::bodies_out_of_bounds_are_refused_and_all_others_come_through_as_sent(&mut world)).await?;
    Box::pin(members::strangers_learn_nothing(&mut world)).await?;
    Box::pin(members::subscriptions_are_held_to_their_rules(&mut world)).await?;
    Box::pin(members::cursors_from_the_future_are_refused(&mut world)).await?;
    Box::pin(members::a_removed_member_receives_and_sends_nothing(&mut world)).await?;
    Box::pin(members::an_archived_team_answers_retries_only(&mut world)).await?;
    Box::pin(grpc::bad_calls_are_refused(&mut world)).await?;
    Box::pin(limits::oversized_messages_end_the_connection(&mut world)).await?;
    Box::pin(limits::fragments_without_end_stay_bounded(&mut world)).await?;
    Box::pin(limits::a_frame_that_is_only_announced_takes_no_memory(&mut world)).await?;
    Box::pin(slow::a_slow_reader_hurts_only_itself_and_misses_nothing(&mut world)).await?;
    Box::pin(world.finish()).await
}
