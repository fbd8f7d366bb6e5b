//! `huddle send`: sends one message, once.

use std::{io::Read as _, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use huddle_client::{OutgoingMessage, Receipt, Sender, SenderOptions};
use huddle_domain::{ClientId, TeamId, limits::BODY_CHARACTERS_MAX};
use huddle_service::config::duration;
use serde_json::json;
use tokio::time::timeout;

use super::connection::ConnectionArgs;
use crate::{config::ConfigArgs, failure::Failure};

/// Bytes of a message that are read from standard input: what a body can have at most, and one more to notice the rest.
const STDIN_BYTES_MAX: u64 = 4 * BODY_CHARACTERS_MAX as u64 + 1;

/// Send a message to a team and print its position (seq).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Retries by itself, under one client_id, so the message appears once however often the connection breaks.

Examples:
  huddle send --team demo --token \"$TOKEN\" \"hello, world\"
  date | huddle send --team demo --token-file alice.token -
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
    /// What to wait for: `accepted` (in the log for good) or `stored` (also committed to Postgres).
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
    let mut message = OutgoingMessage::new(args.team, body);
    if let Some(client_id) = args.client_id {
        message.client_id = client_id;
    }
    let client_id = message.client_id.clone();
    let receipt = match args.wait {
        Wait::Accepted => Receipt::Accepted,
        Wait::Stored => Receipt::Stored,
    };
    let sender = Sender::new(SenderOptions { client: args.connection.options()?, in_flight_max: 1 });
    let accepted = match timeout(args.timeout, sender.send(message, receipt)).await {
        Ok(outcome) => outcome.map_err(Failure::failed)?,
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

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let input = std::io::stdin().lock();
    input.take(STDIN_BYTES_MAX).read_to_string(&mut text).context("cannot read the text from standard input")?;
    let line_end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(line_end.unwrap_or(text.len()));
    Ok(text)
}
