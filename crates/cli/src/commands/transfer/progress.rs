//! How the progress of an export or import is shown: a bar, lines, JSON, or not at all.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use huddle_transfer::{Progress, Step, TeamSummary};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

/// How often a line is printed where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How often a step between two teams is printed as JSON.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

const COUNTING: &str = "{prefix} {human_pos} events";
const MOVING: &str = "{prefix} [{bar:30}] {human_pos} of {human_len} events, {rate}, {eta} left";

#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print each step as one JSON object a line, the outcome as the last one.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

impl OutputArgs {
    /// Whether steps are printed on standard output.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// What is being done: words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Export,
    Import,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Counting,
    Moving,
    ReadingBack,
}

/// Shows progress on standard error, or as JSON on standard output.
#[derive(Debug)]
pub(crate) struct Display {
    work: Work,
    output: Output,
    stage: Stage,
    /// Events of this stage: done, of them done before, and in all.
    done: u64,
    before: u64,
    total: u64,
    started: Instant,
    told: Instant,
}

#[derive(Debug)]
enum Output {
    Quiet,
    Json,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    pub(crate) fn new(args: &OutputArgs, work: Work) -> Self {
        let output = if args.quiet {
            Output::Quiet
        } else if args.json {
            Output::Json
        } else if io::stderr().is_terminal() {
            Output::Bar(ProgressBar::no_length().with_style(style(COUNTING)).with_prefix("counting"))
        } else {
            Output::Lines
        };
        let now = Instant::now();
        Self { work, output, stage: Stage::Counting, done: 0, before: 0, total: 0, started: now, told: now }
    }

    /// Tells people something beside the progress.
    pub(crate) fn tell(&self, text: &str) {
        match &self.output {
            Output::Lines => eprintln!("{text}"),
            Output::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Output::Quiet | Output::Json => {}
        }
    }

    /// Ends the display. `text` is the outcome for people, `json` for machines.
    pub(crate) fn finish(self, text: &str, mut json: Value) {
        match &self.output {
            Output::Quiet => {}
            Output::Json => {
                json["step"] = "done".into();
                print_json(&json);
            }
            Output::Lines => eprintln!("{text}"),
            Output::Bar(bar) => {
                bar.finish_and_clear();
                eprintln!("{text}");
            }
        }
    }

    fn begin(&mut self, stage: Stage, total: u64) {
        (self.stage, self.done, self.before, self.total) = (stage, 0, 0, total);
        (self.started, self.told) = (Instant::now(), Instant::now());
        if let Output::Bar(bar) = &self.output {
            bar.set_style(style(MOVING));
            bar.set_prefix(self.doing());
            bar.set_position(0);
            bar.set_length(total);
            bar.reset();
        }
    }

    fn advance(&mut self, events: u64) {
        self.done += events;
        match &self.output {
            Output::Bar(bar) => bar.set_position(self.done),
            Output::Lines if self.told.elapsed() >= LINE_INTERVAL => {
                self.told = Instant::now();
                eprintln!("{}", self.line());
            }
            Output::Json if self.told.elapsed() >= JSON_INTERVAL => {
                self.told = Instant::now();
                print_json(&json!({ "step": self.done_step(), "events": self.done, "of": self.total }));
            }
            Output::Quiet | Output::Lines | Output::Json => {}
        }
    }

    /// `exporting: 1,000 of 9,000 events, 500 each second, 16 seconds left`.
    fn line(&self) -> String {
        let doing = self.doing();
        let (done, total) = (HumanCount(self.done), HumanCount(self.total));
        if self.stage == Stage::Counting {
            return format!("{doing}: {done} events so far");
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (self.done - self.before) as f64 / elapsed.max(f64::EPSILON);
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(f64::EPSILON);
        // A year is as good as any longer time.
        let left = HumanDuration(Duration::from_secs_f64(left.min(31_536_000.0)));
        format!("{doing}: {done} of {total} events, {rate:.0} each second, {left} left")
    }

    fn doing(&self) -> &'static str {
        match (self.stage, self.work) {
            (Stage::Counting, _) => "counting",
            (Stage::Moving, Work::Export) => "exporting",
            (Stage::Moving, Work::Import) => "importing",
            (Stage::ReadingBack, _) => "verifying",
        }
    }

    fn done_step(&self) -> &'static str {
        match (self.stage, self.work) {
            (Stage::Counting, _) => "counting",
            (Stage::Moving, Work::Export) => "exported",
            (Stage::Moving, Work::Import) => "imported",
            (Stage::ReadingBack, _) => "read_back",
        }
    }

    /// Prints `json` where steps are printed as JSON.
    pub(crate) fn print(&self, json: &Value) {
        if matches!(self.output, Output::Json) {
            print_json(json);
        }
    }
}

impl Progress for Display {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Counting { events, .. } => {
                let more = events - self.done;
                self.advance(more);
            }
            Step::Planned { teams, events } => {
                self.begin(Stage::Moving, events);
                self.print(&json!({ "step": "planned", "teams": teams, "events": events }));
            }
            Step::Continued { events } => {
                (self.done, self.before) = (events, events);
                match &self.output {
                    Output::Bar(bar) => {
                        bar.set_position(events);
                        bar.reset_eta();
                    }
                    Output::Lines => eprintln!("going on after {} events", HumanCount(events)),
                    Output::Json => print_json(&json!({ "step": "continued", "events": events })),
                    Output::Quiet => {}
                }
            }
            Step::Moved { events, .. } | Step::ReadBack { events } => self.advance(events),
            Step::TeamMoved(summary) => {
                let step = self.done_step();
                self.print(&team(step, summary));
            }
            Step::Verifying => {
                let total = self.total;
                self.begin(Stage::ReadingBack, total);
                self.print(&json!({ "step": "verifying", "events": total }));
            }
            Step::TeamVerified(summary) => self.print(&team("verified", summary)),
        }
    }
}

fn team(step: &str, summary: &TeamSummary) -> Value {
    use std::fmt::Write as _;
    let mut sha256 = String::with_capacity(64);
    for byte in summary.sha256 {
        // Writing into memory does not fail.
        let _ = write!(sha256, "{byte:02x}");
    }
    json!({
        "step": step,
        "team": summary.team.as_str(),
        "events": summary.events,
        "last_seq": summary.last_seq.to_string(),
        "sha256": sha256,
    })
}

fn style(template: &str) -> ProgressStyle {
    // Both templates parse: see the test.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
        // What cannot be shown shows itself by its absence.
        let _ = write!(text, "{:.0} each second", state.per_sec());
    })
}

/// Whoever read the output and went away has seen enough.
fn print_json(json: &Value) {
    let _ = writeln!(io::stdout().lock(), "{json}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let args = OutputArgs { json: false, quiet: true };
        let mut display = Display::new(&args, Work::Export);
        display.step(Step::Planned { teams: 2, events: 9_000 });
        display.step(Step::Continued { events: 1_000 });
        display.started -= Duration::from_secs(10);
        display.step(Step::Moved { events: 2_000, present: 0 });
        let line = display.line();
        assert!(line.starts_with("exporting: 3,000 of 9,000 events, 200 each second, 30 seconds left"), "{line}");
        display.step(Step::Verifying);
        assert!(display.line().starts_with("verifying: 0 of 9,000 events"), "{}", display.line());
    }

    #[test]
    fn the_bars_have_templates_that_parse() {
        for template in [COUNTING, MOVING] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
