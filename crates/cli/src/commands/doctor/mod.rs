//! `huddle doctor`: checks an installation, and says what to do about each finding.

mod addresses;
mod admin;
mod check;
mod cluster;
mod disk;
mod embedded;
mod finding;
mod report;
mod revoked;
mod secrets;
mod storing;
mod text;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use huddle_service::config::duration;

use self::{
    check::{Check, Progress},
    report::{Counts, Display},
};
use crate::{config::ConfigArgs, failure::Failure};

/// Where `huddle up` keeps its data unless told otherwise.
const DEFAULT_DATA_DIR: &str = "huddle-data";
/// The configuration of a cluster stack, within the data directory.
const STACK_CONFIG: &str = "cluster/huddle.toml";

/// Check an installation, and say what to do about each finding.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Checks the embedded instance of a data directory, or the cluster that the configuration names: configuration, versions,
clocks, disks, secrets, NATS, Postgres, gRPC. Changes nothing. Each finding has an id, which docs/reference/doctor.md
explains; passwords, tokens and messages are never shown.

Without --data-dir it checks the cluster when the configuration names one, else the instance in ./huddle-data.

Exit codes: 0 no problem (there may be warnings), 1 a problem, 2 wrong usage or configuration.

Examples:
  huddle doctor
  huddle doctor --data-dir /var/lib/huddle --integrity-max 30m
  huddle doctor --config huddle.toml --json")]
pub(crate) struct Args {
    /// Check the embedded instance in this directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How long the check of every page of the file may take.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    integrity_max: Duration,
    /// Print one JSON object instead of a list.
    #[arg(long)]
    json: bool,
}

/// What is checked.
enum Installation {
    Embedded(PathBuf),
    Cluster,
}

pub(crate) async fn run(args: Args, sources: &ConfigArgs) -> Result<(), Failure> {
    let installation = installation(&args, sources)?;
    let progress = Progress::default();
    let (name, checks): (String, Vec<Check>) = match &installation {
        Installation::Embedded(directory) => {
            let config = sources.load_for_one_process()?;
            let name = format!("the embedded instance in {}", directory.display());
            (name, embedded::checks(&config, sources, directory, args.integrity_max, &progress))
        }
        Installation::Cluster => {
            let config = sources.load_for_checkup()?;
            (format!("the cluster of {}", source_name(sources)), cluster::checks(&config, sources))
        }
    };
    let mut display = Display::new(args.json);
    display.say(&format!("Checking {name}"));
    let outcomes = check::run(checks, &progress, &mut display).await;
    let counts = Counts::of(&outcomes);
    if args.json {
        let kind = match installation {
            Installation::Embedded(_) => "embedded",
            Installation::Cluster => "cluster",
        };
        println!("{:#}", report::json(kind, &outcomes));
    } else {
        display.say(&counts.text());
    }
    match counts.problems {
        0 => Ok(()),
        1 => Err(Failure::failed(anyhow!("found a problem"))),
        problems => Err(Failure::failed(anyhow!("found {problems} problems"))),
    }
}

fn installation(args: &Args, sources: &ConfigArgs) -> Result<Installation, Failure> {
    let cluster_setting = sources.cluster_setting();
    let directory = match (&args.data_dir, cluster_setting) {
        (Some(_), Some(setting)) => {
            return Err(Failure::usage(anyhow!(
                "--data-dir names an embedded instance, and the setting `{setting}` a cluster: leave one of them out"
            )));
        }
        (None, Some(_)) => return Ok(Installation::Cluster),
        (Some(directory), None) => directory.clone(),
        (None, None) => PathBuf::from(DEFAULT_DATA_DIR),
    };
    if is_stack_only(&directory) {
        let config = directory.join(STACK_CONFIG);
        return Err(Failure::usage(anyhow!(
            "{} holds the data of `huddle up --cluster`: run `huddle doctor --config {}` while it runs",
            directory.display(),
            config.display()
        )));
    }
    if args.data_dir.is_some() || directory.is_dir() {
        return Ok(Installation::Embedded(directory));
    }
    if sources.file().is_some() || !sources.overrides().is_empty() {
        return Ok(Installation::Cluster);
    }
    Err(Failure::usage(anyhow!(
        "nothing to check: there is no directory {DEFAULT_DATA_DIR} here, and no configuration names a cluster; give \
         --data-dir DIR or --config FILE"
    )))
}

fn is_stack_only(directory: &Path) -> bool {
    directory.join(STACK_CONFIG).exists() && !embedded::file(directory).exists()
}

/// Where the configuration comes from, as `huddle config check` says it.
fn source_name(sources: &ConfigArgs) -> String {
    match sources.file() {
        Some(file) => file.display().to_string(),
        None => "defaults and environment, no file".to_owned(),
    }
}
