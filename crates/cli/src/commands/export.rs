//! `huddle export`: teams of an instance, as a file.

use std::{
    fs,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    path::PathBuf,
    time::SystemTime,
};

use anyhow::{Context as _, anyhow};
use huddle_domain::{TeamId, UnixMillis};
use huddle_transfer::{ExportError, ExportOptions, Exported, export_to_file, export_to_stream};
use indicatif::HumanCount;
use serde_json::json;

use super::transfer::{Display, InstanceArgs, OutputArgs, Work, failure};
use crate::{config::ConfigArgs, failure::Failure};

/// Who wrote an export, as its first line says.
const PROGRAM: &str = concat!("huddle ", env!("CARGO_PKG_VERSION"));

/// Export an instance, or some of its teams, to a file that `huddle import` reads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is JSON Lines: see docs/reference/export.md. How far each team is exported is decided at the start, so that the
instance may be in use. Until the file is whole it is called FILE.part; when the export is interrupted, the same command
goes on there. `-` writes to standard output, from the beginning each time.

Examples:
  huddle export --data-dir huddle-data everything.jsonl          an embedded instance, running or not
  huddle export --config huddle.toml --team demo demo.jsonl      one team of a cluster
  huddle export --data-dir huddle-data - | zstd > all.jsonl.zst")]
pub(crate) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,
    /// Export this team only. May be repeated.
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<TeamId>,
    #[command(flatten)]
    output: OutputArgs,
    /// The file to write, which must not exist; `-` is standard output.
    file: PathBuf,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if to_stdout && args.output.is_json() {
        return Err(Failure::usage(anyhow!("standard output cannot take both the export and --json: name a file")));
    }
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::usage(anyhow!("an export is nothing to look at: name a file, or pipe it somewhere")));
    }
    let config = args.instance.config(config)?;
    let instance = args.instance.open_for_reading(&config).await?;
    let options = ExportOptions {
        teams: (!args.teams.is_empty()).then_some(args.teams),
        program: PROGRAM.to_owned(),
        created: UnixMillis::from(SystemTime::now()),
    };
    let mut display = Display::new(&args.output, Work::Export);
    let exported = if to_stdout {
        // A file without a buffer of its own: what is written has left this process.
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("cannot write to standard output")?;
        let mut stdout = tokio::fs::File::from_std(fs::File::from(stdout));
        export_to_stream(instance.store(), &options, &mut stdout, "standard output", &mut display).await
    } else {
        export_to_file(instance.store(), &options, &args.file, &mut display).await
    };
    let Exported { teams, events, continued } = exported.map_err(|error| {
        let is_retryable = matches!(&error, ExportError::Store(error) if error.is_retryable());
        failure(error, is_retryable)
    })?;
    let file = if to_stdout { "standard output".to_owned() } else { args.file.display().to_string() };
    let text = format!("exported {} teams with {} events to {file}", HumanCount(teams), HumanCount(events));
    display.finish(&text, json!({ "file": file, "teams": teams, "events": events, "continued": continued }));
    Ok(())
}
