//! `huddle verify`: decides from a recording, or from a live team's history, whether the guarantees held.

mod file;
mod grpc;
mod live;
mod log;
mod report;

use std::{path::PathBuf, time::Duration};

use huddle_domain::TeamId;
use huddle_service::config::duration;

use crate::{config::ConfigArgs, failure::Failure};

/// Check that the guarantees held: in a recording, or in a live team's history.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
FILE is what clients did and saw in a run, and what history shows at the end: docs/reference/verify.md describes it. The
verdict covers G1 to G6: nothing acknowledged is lost, nothing comes twice, all see one order without a gap, reads show
one's own writes, a removal is a fence. Each finding names the lines of the file that show it.

With --team, the history of a team is read over gRPC, from `gateway.history_url` or --url, with `auth.service_token` or
the token of a member. It is compared with the directory's list of members, and with the log where the configuration
names one (`log.servers`). That shows whether history is whole and in order by itself. Whether somebody lost a message
that was acknowledged, or was shown one too many, only a recording can tell.

Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage, or something that was to be checked could not be: history
does not answer, or the log that the configuration names does not.

Examples:
  huddle verify target/faults/F1-42/recording.jsonl
  huddle verify --json recording.jsonl
  zstdcat recording.jsonl.zst | huddle verify -
  huddle verify --config huddle.toml --team demo
  huddle verify --team demo --url http://127.0.0.1:7401 --token-file alice.token")]
pub(crate) struct Args {
    /// The recording to check; `-` is standard input.
    #[arg(required_unless_present = "team", conflicts_with = "team")]
    file: Option<PathBuf>,
    /// Check this team of a live system instead.
    #[arg(long, value_name = "TEAM")]
    team: Option<TeamId>,
    #[command(flatten)]
    live: live::LiveArgs,
    /// How long after a removal the removed user's sends may still be taken.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    revocation_bound: Duration,
    /// Do not expect that every client has settled at the end: the recording breaks off earlier.
    #[arg(long, conflicts_with = "team")]
    no_settle: bool,
    /// Show at most this many findings of each kind; all are counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    findings_max: usize,
    /// Print one JSON object instead of a text.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, sources: &ConfigArgs) -> Result<(), Failure> {
    let outcome = match (&args.team, &args.file) {
        (Some(team), _) => live::check(&args, team, sources).await?,
        (None, Some(file)) => {
            sources.init_quiet_telemetry()?;
            file::check(&args, file)?
        }
        // The parser requires one of them.
        (None, None) => return Err(Failure::usage(anyhow::anyhow!("name a recording, or a team with --team"))),
    };
    outcome.print(args.json)
}
