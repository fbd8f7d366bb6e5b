//! The decoders on a fixed run of mutated packets. `examples/fuzz_decoder.rs` goes on from there for as long as one likes.

use std::time::{Duration, Instant};

use huddle_socketio::decode_everything;

mod mutate;

const ROUNDS: usize = 200_000;
/// Far more than any input of a few kilobytes may need.
const INPUT_TIME_MAX: Duration = Duration::from_secs(2);

#[test]
fn no_bytes_of_a_client_make_a_decoder_panic_or_hang() {
    let mut mutator = mutate::Mutator::new(4);
    let mut inputs_with_packets = 0;
    for round in 0..ROUNDS {
        let input = mutator.next_input();
        let started = Instant::now();
        inputs_with_packets += usize::from(decode_everything(&input) > 1);
        assert!(started.elapsed() < INPUT_TIME_MAX, "round {round}: {input:?}");
    }
    // Otherwise the inputs would be all noise, and the test would say nothing about what follows the first check.
    assert!(inputs_with_packets > ROUNDS / 10, "{inputs_with_packets}");
}
