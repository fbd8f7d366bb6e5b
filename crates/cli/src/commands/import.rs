//! `huddle import`: teams from a file, or from something else, into an instance.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use huddle_labellab_import::OpenError;
use huddle_transfer::{FileSource, ImportError, ImportReport, Source, import};
use indicatif::HumanCount;
use serde_json::json;

use super::transfer::{Display, InstanceArgs, OutputArgs, Work, failure};
use crate::{config::ConfigArgs, failure::Failure};

/// Import what `huddle export` wrote, or LabelLab's data; ids, positions and times stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nobody else may write the instance meanwhile: stop `huddle up`, or every `huddle persistence` of a cluster, first, and
start it again afterwards. A cluster needs `huddle migrate` to have been run. An embedded instance is made when it is
missing. An import that was interrupted is continued by running it again. At the end everything is read back and compared:
the number of events and a digest for each team. See docs/reference/export.md.

Examples:
  huddle import --data-dir huddle-data everything.jsonl        into an embedded instance
  huddle import --config huddle.toml everything.jsonl          into a cluster
  zstd -dc all.jsonl.zst | huddle import --data-dir copy -
  huddle import --data-dir huddle-data --from-labellab mysql://user@127.0.0.1/labellab
  huddle import --data-dir huddle-data --from-labellab ./csv-files")]
pub(crate) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Import LabelLab's own data instead: from a mysql:// or postgres:// URL, or a directory with CSV files.
    #[arg(long, value_name = "URL_OR_DIRECTORY", conflicts_with = "file")]
    from_labellab: Option<String>,
    /// The file to read; `-` is standard input.
    #[arg(required_unless_present = "from_labellab")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    // First what does not change anything: both may be refused.
    let instance_config = args.instance.config(config)?;
    let mut display = Display::new(&args.output, Work::Import);
    let (mut source, name) = open(&args, &display).await?;
    let instance = args.instance.open_for_writing(&instance_config).await?;
    let imported = import(&mut *source, &instance.target(), &mut display).await;
    instance.close().await;
    let report = imported.map_err(|error| {
        let is_retryable = error.is_retryable();
        match error {
            ImportError::Source(error) => failure(anyhow::Error::new(error).context(name), is_retryable),
            error => failure(error, is_retryable),
        }
    })?;
    let ImportReport { teams, events, stored, present, log_is_missing } = report;
    let text = text_of(&report, instance.is_cluster());
    let json = json!({
        "teams": teams,
        "events": events,
        "stored": stored,
        "present": present,
        "verified": true,
        "log_is_missing": log_is_missing,
    });
    display.finish(&text, json);
    Ok(())
}

/// Opens the source, and says how errors name it.
async fn open(args: &Args, display: &Display) -> Result<(Box<dyn Source>, String), Failure> {
    match (&args.from_labellab, &args.file) {
        (Some(place), _) => open_labellab(place, display).await,
        (None, Some(file)) => open_file(file).await,
        // One of them is required.
        (None, None) => Err(Failure::usage(anyhow!("name a file to import"))),
    }
}

async fn open_file(file: &Path) -> Result<(Box<dyn Source>, String), Failure> {
    let (file, name) = if file.as_os_str() == "-" {
        let stdin = io::stdin().as_fd().try_clone_to_owned().context("cannot read standard input")?;
        (tokio::fs::File::from_std(fs::File::from(stdin)), "standard input".to_owned())
    } else {
        let opened = tokio::fs::File::open(file).await;
        (opened.with_context(|| format!("cannot open {}", file.display()))?, file.display().to_string())
    };
    let source = FileSource::open(file).await.map_err(|error| anyhow::Error::new(error).context(name.clone()))?;
    Ok((Box::new(source), name))
}

async fn open_labellab(place: &str, display: &Display) -> Result<(Box<dyn Source>, String), Failure> {
    let labellab = Box::pin(huddle_labellab_import::open(place)).await.map_err(|error| match error {
        OpenError::Place { .. } => Failure::usage(anyhow::Error::new(error).context("--from-labellab")),
        OpenError::Source(error) => Failure::failed(error),
    })?;
    let report = labellab.report();
    display.tell(report.to_string().trim_end());
    display.print(&json!({ "step": "labellab", "report": report }));
    Ok((Box::new(labellab), "LabelLab".to_owned()))
}

fn text_of(report: &ImportReport, is_cluster: bool) -> String {
    let ImportReport { teams, events, present, log_is_missing, .. } = report;
    let before = match present {
        0 => String::new(),
        present => format!(" ({} of them were there already)", HumanCount(*present)),
    };
    let next = match (is_cluster, log_is_missing) {
        (false, _) => "",
        (true, false) => "; now start `huddle persistence`",
        (true, true) => "; now run `huddle migrate` and start `huddle persistence`",
    };
    let (teams, events) = (HumanCount(*teams), HumanCount(*events));
    format!("imported {teams} teams with {events} events{before}; read back, counts and digests agree{next}")
}
