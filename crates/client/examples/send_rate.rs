//! Measures how many sends a gateway acknowledges per second, at several numbers of sends in flight.
//!
//! ```sh
//! cargo run --release -p huddle-client --example send_rate -- ws://127.0.0.1:8080/v1/ws demo "$TOKEN" accepted
//! ```
//!
//! One connection, closed loop: the next send goes out when a receipt has come. The last argument says which receipt:
//! `accepted` (the default) or `stored`. Every number of sends in flight is measured for 5 s after 1 s of warming up.
//! The messages stay in the team.
#![expect(clippy::print_stdout, reason = "what was measured is printed")]

use std::{
    env,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use huddle_client::{ClientOptions, OutgoingMessage, Receipt, SendError, Sender, SenderOptions};
use huddle_domain::TeamId;

const IN_FLIGHT: [usize; 3] = [1, 16, 256];
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// Characters of a message.
const BODY_CHARACTERS: usize = 200;

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (url, team, token, receipt) = match &arguments[..] {
        [url, team, token] => (url, team, token, Receipt::Accepted),
        [url, team, token, receipt] if receipt == "accepted" => (url, team, token, Receipt::Accepted),
        [url, team, token, receipt] if receipt == "stored" => (url, team, token, Receipt::Stored),
        _ => return Err("usage: send_rate URL TEAM TOKEN [accepted|stored]".into()),
    };
    let team = TeamId::parse(team)?;
    println!("{:>9}  {:>9}  {:>8}  {:>8}", "in flight", "sends/s", "p50 ms", "p99 ms");
    for in_flight in IN_FLIGHT {
        let client = ClientOptions::new(url.clone(), token.clone());
        let sender = Sender::new(SenderOptions { client, in_flight_max: in_flight });
        run(&sender, &team, in_flight, receipt, WARM_UP).await?;
        let started = Instant::now();
        let mut latencies = run(&sender, &team, in_flight, receipt, MEASURED).await?;
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        let percentile = |hundredths: usize| {
            let place = (latencies.len() * hundredths / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, Duration::as_secs_f64) * 1_000.0
        };
        let per_second = f64::from(u32::try_from(latencies.len())?) / elapsed.as_secs_f64();
        println!("{in_flight:>9}  {per_second:>9.0}  {:>8.2}  {:>8.2}", percentile(50), percentile(99));
    }
    Ok(())
}

/// Sends for `time` and returns how long each receipt took.
async fn run(
    sender: &Sender,
    team: &TeamId,
    in_flight: usize,
    receipt: Receipt,
    time: Duration,
) -> Result<Vec<Duration>, SendError> {
    let body = "x".repeat(BODY_CHARACTERS);
    let end = Instant::now() + time;
    let outcomes: Vec<_> = stream::repeat_with(|| OutgoingMessage::new(team.clone(), body.clone()))
        .take_while(|_| std::future::ready(Instant::now() < end))
        .map(|message| async {
            let started = Instant::now();
            sender.send(message, receipt).await?;
            Ok(started.elapsed())
        })
        .buffer_unordered(in_flight)
        .collect()
        .await;
    outcomes.into_iter().collect()
}
