//! `huddle send`: sends one message, once.

use std::{convert::Infallible, io::Read as _, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use huddle_client::{OutgoingMessage, Receipt, SendError, Sender, SenderOptions};
use huddle_domain::{ClientId, Tags, TeamId, UserId, limits::BODY_CHARACTERS_MAX};
use huddle_service::config::duration;
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use super::connection::ConnectionArgs;
use crate::{config::ConfigArgs, failure::Failure, terminal::escaped};

/// Bytes of a message that are read from standard input: what a body can have at most, and one more to notice the rest.
const STDIN_BYTES_MAX: u64 = 4 * BODY_CHARACTERS_MAX as u64 + 1;

/// Send a message to a team and print its position (seq).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Retries by itself, under one client_id, so the message appears once however often the connection breaks.

Examples:
  huddle send --team demo --token \"$TOKEN\" \"hello, world\"
  date | huddle send --team demo --token-file alice.token -
  huddle send --team demo --mention bob --mention carol \"@bob @carol it is done\"
  huddle send --team demo --client-id report-2026-02-01 --wait stored \"the report is out\"   # run it twice: one message")]
pub(crate) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The team.
    #[arg(long)]
    team: TeamId,
    /// Names the message for good: the same id again is the same message. Default: a new one.
    #[arg(long, value_name = "ID")]
    client_id: Option<ClientId>,
    /// A user whom the message mentions; may be repeated.
    #[arg(long = "mention", value_name = "USER")]
    mentions: Vec<UserId>,
    /// What to wait for: `accepted` (in the log for good) or `stored` (also committed to the store).
    #[arg(long, value_name = "RECEIPT", default_value = "accepted")]
    wait: Wait,
    /// How long to try.
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    /// Print one JSON object instead of the position.
    #[arg(long)]
    json: bool,
    /// The text; `-` reads standard input.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    Accepted,
    Stored,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    config.init_quiet_telemetry()?;
    let body = if args.text == "-" { standard_input()? } else { args.text };
    let tags = Tags::new(args.mentions, None).map_err(Failure::usage)?;
    let mut message = OutgoingMessage::new(args.team, body).with_tags(tags);
    if let Some(client_id) = args.client_id {
        message.client_id = client_id;
    }
    let client_id = message.client_id.clone();
    let receipt = match args.wait {
        Wait::Accepted => Receipt::Accepted,
        Wait::Stored => Receipt::Stored,
    };
    let sender = Sender::new(SenderOptions { client: args.connection.options()?, in_flight_max: 1 });
    let outcome = tokio::select! {
        outcome = timeout(args.timeout, sender.send(message, receipt)) => outcome,
        never = tell_problems(sender.problem()) => match never {},
    };
    let accepted = match outcome {
        Ok(outcome) => outcome.map_err(|error| Failure::failed(anyhow!(escaped(&error.to_string()))))?,
        Err(_) => {
            return Err(Failure::failed(anyhow!(
                "not {} after {:?}: the outcome is unknown; run the same command with --client-id {client_id} to settle it",
                if receipt == Receipt::Stored { "stored" } else { "accepted" },
                args.timeout,
            )));
        }
    };
    if args.json {
        let line = json!({
            "team": accepted.team.as_str(),
            "seq": accepted.seq.get(),
            "client_id": accepted.client_id.as_str(),
            "duplicate": accepted.duplicate,
            "stored": receipt == Receipt::Stored,
        });
        println!("{line}");
    } else {
        println!("{}", accepted.seq);
    }
    Ok(())
}

/// Tells on standard error what the sender waits for, once for each change.
async fn tell_problems(mut problem: watch::Receiver<Option<SendError>>) -> Infallible {
    let mut told = String::new();
    while problem.changed().await.is_ok() {
        let now = problem.borrow_and_update().as_ref().map(ToString::to_string).unwrap_or_default();
        if !now.is_empty() && now != told {
            eprintln!("huddle: {}; trying again", escaped(&now));
        }
        told = now;
    }
    std::future::pending().await
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let input = std::io::stdin().lock();
    input.take(STDIN_BYTES_MAX).read_to_string(&mut text).context("cannot read the text from standard input")?;
    let line_end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(line_end.unwrap_or(text.len()));
    Ok(text)
}
