//! A team of a live system, checked.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use huddle_domain::{Seq, TeamId};
use huddle_log::Log as _;
use huddle_log_nats::NatsLog;
use huddle_service::config::Secret;
use huddle_verify::team::{Check, TeamReport};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Args,
    grpc::{self, History},
    log::{self, Comparison},
    report::Outcome,
};
use crate::{
    config::{Config, ConfigArgs},
    failure::Failure,
};

/// How often a line is printed where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often history is read to its end again when somebody posts while the members are asked for.
const MEMBER_TRIES_MAX: u32 = 20;
const READING: &str = "reading {human_pos} events, {per_sec}";

/// Where a live system is, and as whom to ask it.
#[derive(Debug, clap::Args)]
pub(crate) struct LiveArgs {
    /// Where history answers gRPC. Default: the setting `gateway.history_url`.
    #[arg(long, value_name = "URL", requires = "team", conflicts_with = "file")]
    url: Option<String>,
    /// Where the directory answers gRPC. Default: the setting `gateway.directory_url`; with --url, nobody is asked.
    #[arg(long, value_name = "URL", requires = "team", conflicts_with = "file")]
    directory_url: Option<String>,
    /// A file that holds the token of a member of the team. Default: the setting `auth.service_token`.
    #[arg(long, value_name = "FILE", requires = "team", conflicts_with = "file")]
    token_file: Option<PathBuf>,
}

/// Reads and judges `team`.
pub(super) async fn check(args: &Args, team: &TeamId, sources: &ConfigArgs) -> Result<Outcome, Failure> {
    sources.init_quiet_telemetry()?;
    let config = sources.load()?;
    let url = args.live.url.as_ref().unwrap_or(&config.gateway.history_url);
    let token = token(args, &config)?;
    let history = History::new(url, &token, team.clone()).map_err(Failure::usage)?;
    let mut reading = Reading {
        history,
        check: Check::new(team.as_str(), args.revocation_bound, args.findings_max),
        progress: Progress::new(args.json),
    };
    let mut skipped = Skipped::default();
    // Whatever keeps the check from its end: nothing was found out.
    let read = async {
        reading.read_on(Seq::ZERO).await?;
        match directory_url(args, &config) {
            Some(url) => reading.compare_members(url, &token, team, &mut skipped).await?,
            None => skipped.unasked.push("the members: --directory-url does not say where the directory is".to_owned()),
        }
        anyhow::Ok(())
    };
    read.await.map_err(Failure::usage)?;
    let logged = reading.compare_log(sources, &config, team).await;
    let compared_from = match logged {
        Ok(Comparison::From(start)) => Some(start),
        Ok(Comparison::Nothing(why)) => {
            skipped.unasked.push(why.to_owned());
            None
        }
        Ok(Comparison::Impossible(why)) => {
            skipped.missed.push(why.to_owned());
            None
        }
        Err(error) => {
            skipped.missed.push(format!("the log: {error:#}"));
            None
        }
    };
    reading.progress.finish();
    Ok(outcome(team, reading.check.finish(), compared_from, skipped))
}

fn token(args: &Args, config: &Config) -> Result<Secret, Failure> {
    if let Some(file) = &args.live.token_file {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read the token from {}", file.display()));
        return Ok(Secret::new(text.map_err(Failure::usage)?.trim().to_owned()));
    }
    config.auth.service_token.clone().ok_or_else(|| {
        Failure::usage(anyhow!("no token: set `auth.service_token`, or give a member's token with --token-file"))
    })
}

/// The directory beside the history that is asked; that of the configuration may be another installation's.
fn directory_url<'a>(args: &'a Args, config: &'a Config) -> Option<&'a str> {
    match (&args.live.directory_url, &args.live.url) {
        (Some(url), _) => Some(url),
        (None, Some(_)) => None,
        (None, None) => Some(&config.gateway.directory_url),
    }
}

/// What was not checked, and why.
#[derive(Debug, Default)]
struct Skipped {
    /// Nobody asked for it, or there is nothing of it.
    unasked: Vec<String>,
    /// It was to be checked and could not be.
    missed: Vec<String>,
}

struct Reading {
    history: History,
    check: Check,
    progress: Progress,
}

impl Reading {
    /// Reads everything after what was read, at least up to `min_seq`. False when that is not stored yet.
    async fn read_on(&mut self, min_seq: Seq) -> Result<bool> {
        loop {
            let Some(page) = self.history.page(self.check.last_seq(), min_seq).await? else { return Ok(false) };
            for (event, time_ms) in &page.events {
                self.check.take(event, *time_ms);
            }
            self.progress.read(page.events.len() as u64);
            // A page without events that claims more would be asked for without end.
            if !page.has_more || page.events.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Both are read from the store: when nothing was posted meanwhile, they are of one moment.
    async fn compare_members(&mut self, url: &str, token: &Secret, team: &TeamId, skipped: &mut Skipped) -> Result<()> {
        for _ in 0..MEMBER_TRIES_MAX {
            let before = self.check.last_seq();
            let listed = grpc::members(url, token, team).await?;
            self.read_on(Seq::ZERO).await?;
            if self.check.last_seq() == before {
                self.check.compare_members(&listed);
                return Ok(());
            }
        }
        skipped.missed.push("the members: the team was never quiet for the time of a call".to_owned());
        Ok(())
    }

    async fn compare_log(&mut self, sources: &ConfigArgs, config: &Config, team: &TeamId) -> Result<Comparison> {
        if !sources.is_set("log.servers") {
            return Ok(Comparison::Nothing("the log: the configuration names none (`log.servers`)"));
        }
        let log = NatsLog::connect(config.log.clone()).await?;
        let Some(last) = log.last_seq(team).await? else {
            return Ok(Comparison::Nothing("the log: it holds none of the team's events any longer"));
        };
        if !self.read_on(last).await? {
            return Ok(Comparison::Impossible("the log: the store is behind it; see `huddle doctor`"));
        }
        log::compare(&log, team, last, &mut self.check).await
    }
}

fn outcome(team: &TeamId, report: TeamReport, compared_from: Option<Seq>, skipped: Skipped) -> Outcome {
    let counts = report.counts;
    let n = |count: u64| HumanCount(count);
    let mut summary = vec![format!(
        "the history of {team}: {} events up to {}, {} messages, {} members",
        n(counts.events),
        counts.last_seq,
        n(counts.messages),
        n(counts.members),
    )];
    if let Some(from) = compared_from {
        let (logged, late) = (n(counts.logged), n(counts.late_duplicates));
        summary.push(format!(
            "compared with {logged} events of the log after {from}, of which {late} are late duplicates"
        ));
    }
    if counts.just_after_removal > 0 {
        summary.push(format!("{} messages of users who had just been removed", n(counts.just_after_removal)));
    }
    Outcome {
        summary,
        json: json!({
            "team": team.as_str(),
            "counts": counts,
            "log_compared_after": compared_from.map(|from| from.to_string()),
        }),
        findings: report.findings,
        by_rule: report.by_rule,
        missed: skipped.missed.len(),
        not_checked: [skipped.missed, skipped.unasked].concat(),
        clean: "whole and in order, as far as history shows; what clients sent and saw, it does not",
    }
}

/// How far the reading is, on standard error.
enum Progress {
    Silent,
    Lines { events: u64, told: Instant },
    Bar(ProgressBar),
}

impl Progress {
    fn new(is_silent: bool) -> Self {
        if is_silent {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { events: 0, told: Instant::now() };
        }
        // The template parses: see the test.
        let style = ProgressStyle::with_template(READING).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::no_length().with_style(style))
    }

    fn read(&mut self, more: u64) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => bar.inc(more),
            Self::Lines { events, told } => {
                *events += more;
                if told.elapsed() >= LINE_INTERVAL {
                    *told = Instant::now();
                    eprintln!("reading: {} events so far", HumanCount(*events));
                }
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_template_that_parses() {
        assert!(ProgressStyle::with_template(READING).is_ok());
    }
}
