//! Feeds the decoders of clients' bytes with mutated packets until the time is over: `-- --seconds 60 [--seed 1]`. A panic
//! ends it with the seed and round that repeat it.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

use huddle_socketio::decode_everything;

#[path = "../tests/mutate/mod.rs"]
mod mutate;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let (seconds, seed) = (number("--seconds").unwrap_or(60), number("--seed").unwrap_or_else(rand::random));
    println!("seed {seed}, for {seconds} s");
    let (mut mutator, started, mut packets) = (mutate::Mutator::new(seed), Instant::now(), 0_usize);
    for round in 0_u64.. {
        let bytes = mutator.next_input();
        match catch_unwind(AssertUnwindSafe(|| decode_everything(&bytes))) {
            Ok(decoded) => packets += decoded,
            Err(_) => {
                eprintln!("panicked in round {round} of seed {seed}, on {bytes:?}");
                return ExitCode::FAILURE;
            }
        }
        if round % 1_000 == 0 && started.elapsed() >= Duration::from_secs(seconds) {
            println!("{round} inputs, {packets} packets in them, no panic");
            break;
        }
    }
    ExitCode::SUCCESS
}
