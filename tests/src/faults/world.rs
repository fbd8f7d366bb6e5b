//! Owns a whole run: a cluster with everything on wires, a fleet at work, and the marks of what is broken.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_verify::recording::Note;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    fleet::{Fleet, FleetOptions},
    measure::Measured,
    oracle::{self, Expected, Verdict},
    recorder::{Recorder, WORLD},
    timeline,
};
use crate::{Cluster, ClusterOptions};

/// The seed of every run that is given no other.
pub const SEED_VARIABLE: &str = "HUDDLE_FAULTS_SEED";
/// Where the files of runs go.
pub const DIRECTORY_VARIABLE: &str = "HUDDLE_FAULTS_DIR";

const DEFAULT_SEED: u64 = 1;
/// How long a fleet may take until all its clients follow and send.
const START_BOUND: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a removal may take to reach everybody while nothing is broken, by the default.
const REVOCATION_BOUND: Duration = Duration::from_secs(5);
/// How long a run goes on in peace after who leaves has been refused: then the removal counts as a calm one.
const REFUSED_FOR: Duration = Duration::from_millis(2_100);
/// How often a long wait looks after the clients.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often a run says how it goes.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// The row of the list of faults, or another name of the run.
    pub row: String,
    /// Of whatever is random.
    pub seed: u64,
    /// The processes.
    pub cluster: ClusterOptions,
    /// The clients.
    pub fleet: FleetOptions,
    /// How long after a removal sends and reads of the removed user may still be answered, where nothing was broken around
    /// the removal: see [`huddle_verify::Options::calm_revocation_bound`]. Everywhere else, and with `None`, a minute.
    pub revocation_bound: Option<Duration>,
    /// Whether a run is no success in which nobody read, repeated a send, got a second receipt, came or went, or was
    /// refused for being no member.
    pub exercises_all: bool,
}

impl WorldOptions {
    /// Two gateways, two replicas of persistence, history, directory, three nodes of NATS, Postgres, everything on wires;
    /// a fleet of the default size. The seed is that of the environment.
    pub fn of(row: &str) -> Self {
        let seed = env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok()).unwrap_or(DEFAULT_SEED);
        let cluster = ClusterOptions { nats_nodes: 3, wired: true, ..ClusterOptions::default() };
        Self {
            row: row.to_owned(),
            seed,
            cluster,
            fleet: FleetOptions::default(),
            revocation_bound: Some(REVOCATION_BOUND),
            exercises_all: true,
        }
    }

    fn title(&self) -> String {
        format!("{} with seed {}", self.row, self.seed)
    }
}

/// A cluster under load. [`settle`](Self::settle) ends the load and judges, [`finish`](Self::finish) ends the rest. What
/// is dropped before that leaves its files, and says where.
#[derive(Debug)]
pub struct World {
    // Before the cluster, which takes its logs with it: fields are dropped in this order.
    files: Files,
    /// The processes: break them as you like, and mark it with [`World::fault`].
    pub cluster: Cluster,
    options: WorldOptions,
    round: Round,
    measured: Vec<Measured>,
    began: Instant,
    progress_at: Instant,
}

/// One fleet with its recording.
#[derive(Debug)]
struct Round {
    number: u32,
    directory: PathBuf,
    recorder: Recorder,
    /// `None` once it has settled.
    fleet: Option<Fleet>,
    /// When the first of the faults that are under way, or were last, began.
    faults_from_us: Option<u64>,
    open_faults: BTreeSet<String>,
    /// When the last one was healed.
    healed_at: Option<Instant>,
}

impl World {
    /// Starts everything, and waits until every client follows its teams and has something acknowledged.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let began = Instant::now();
        let directory = run_directory(&options)?;
        let cluster = Box::pin(Cluster::start(options.cluster.clone())).await?;
        let round = Round::start(&cluster, &options, 1, directory.clone()).await?;
        let files = Files::of(directory, &cluster, &round.recorder);
        let measured = Vec::new();
        let mut world =
            Self { files, cluster, options, round, measured, began, progress_at: began + PROGRESS_INTERVAL };
        world.until_at_work().await?;
        world.say("the fleet is at work");
        Ok(world)
    }

    /// The recording of the present fleet.
    pub fn recorder(&self) -> &Recorder {
        &self.round.recorder
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Where the files of this run are.
    pub fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// Marks the beginning of a fault: in the recording and in the picture, where the first word of `what` names the lane.
    /// Call it right before the fault is made.
    pub fn fault(&mut self, row: &str, what: &str) {
        let from_us = self.round.recorder.now_us();
        if self.round.open_faults.is_empty() {
            self.round.faults_from_us = Some(from_us);
        }
        self.round.open_faults.insert(row.to_owned());
        self.round.recorder.note(WORLD, 0, Note::Fault { row: row.to_owned(), what: what.to_owned() });
        self.say(&format!("{row}: {what}"));
    }

    /// Marks the end of the faults of `row`.
    pub fn healed(&mut self, row: &str) {
        self.round.open_faults.remove(row);
        self.round.healed_at = Some(Instant::now());
        self.round.recorder.note(WORLD, 0, Note::Healed { row: row.to_owned() });
        self.say(&format!("{row}: healed"));
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// When a client of the fleet ended by itself.
    pub async fn run_for(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        loop {
            self.look()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK_INTERVAL)).await;
        }
    }

    /// Waits until every client but the guests is connected, has caught up, and, where it sends, has had something
    /// new acknowledged since this call: late retries do not count. Returns how long that took.
    ///
    /// # Errors
    /// When it does not come about within `bound`; the error names the clients that are missing.
    pub async fn until_back(&mut self, bound: Duration) -> Result<Duration> {
        let began = Instant::now();
        let before = self.round.recorder.clients();
        loop {
            self.look()?;
            let missing: Vec<String> = self.round.recorder.look(|board| {
                let silent = board.clients().iter().filter(|(name, state)| {
                    let had = before.get(*name).map_or(0, |state| state.accepted);
                    state.place.sends && !state.place.is_guest && state.accepted <= had
                });
                board.missing().iter().chain(silent.map(|(name, _)| name)).cloned().collect()
            });
            if missing.is_empty() {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < bound, "not back after {bound:?}: {missing:?}");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// What the faults did that are under way, or were last: from the first mark of them until now. Goes into the report.
    pub fn measure(&mut self) -> Measured {
        self.measure_from(self.round.faults_from_us.unwrap_or_default())
    }

    /// The same from the first mark of the present fleet on, whatever was healed since then.
    pub fn measure_all(&mut self) -> Measured {
        let first = self.round.recorder.replay(|tape| tape.faults().first().map(|fault| fault.from_us));
        self.measure_from(first.unwrap_or_default())
    }

    fn measure_from(&mut self, from_us: u64) -> Measured {
        let now_us = self.round.recorder.now_us();
        let measured = self.round.recorder.replay(|tape| Measured::of(tape, from_us, now_us));
        self.say(&measured.to_string());
        self.measured.push(measured.clone());
        measured
    }

    /// The common oracle: nobody sends anything new; everything is acknowledged and stored and every client has what history
    /// has within 30 s after the last mark of healing, or within 10 s after this call where that is later, plus a margin of
    /// 15 s; all processes run; the checker finds nothing in the recording; and the run did something about each guarantee
    /// that it is to judge. Heals nothing by itself. The fleet has ended then.
    ///
    /// # Errors
    /// When something did not hold: the error quotes the first findings and says where the files are.
    pub async fn settle(&mut self) -> Result<Verdict> {
        let fleet = self.round.fleet.take().context("this fleet has settled already")?;
        self.say("settling");
        let recorder = self.round.recorder.clone();
        let healed_for = self.round.healed_at.filter(|_| self.round.open_faults.is_empty());
        let expected = Expected {
            revocation_bound: self.options.revocation_bound,
            exercises_all: self.options.exercises_all,
            healed_for: healed_for.map(|at| at.elapsed()).unwrap_or_default(),
        };
        let directory = &self.round.directory;
        let settled = Box::pin(oracle::settle(&mut self.cluster, fleet, &recorder, directory, expected)).await;
        self.round.draw(&self.options.title())?;
        let mut verdict = settled?;
        for name in self.ended_processes() {
            verdict.problems.push(format!("{name} has ended and would need a manual restart"));
        }
        self.keep_report(&verdict)?;
        let (after, lines) = (verdict.settled_after.as_secs_f64(), recorder.lines());
        self.say(&format!("settled after {after:.1} s; {lines} lines checked, {} findings", verdict.report.total()));
        if !verdict.is_clean() {
            bail!("{}: {}", self.options.title(), verdict.complaint());
        }
        Ok(verdict)
    }

    /// Begins anew on the same cluster, with new teams and a recording of its own. Only after [`World::settle`].
    pub async fn next_round(&mut self) -> Result<()> {
        ensure!(self.round.fleet.is_none(), "the fleet has not settled");
        self.files.write_report(true)?;
        let number = self.round.number + 1;
        let directory = self.files.directory.join(format!("round-{number}"));
        fs::create_dir_all(&directory)?;
        self.round = Round::start(&self.cluster, &self.options, number, directory).await?;
        self.measured.clear();
        self.files.recorder = self.round.recorder.clone();
        self.until_at_work().await
    }

    /// Waits until all clients follow and send, and those outside were refused; and then a moment, so that nothing that is
    /// broken from here on excuses the removal of who has left.
    async fn until_at_work(&mut self) -> Result<()> {
        let began = Instant::now();
        self.until_back(START_BOUND).await.context("the fleet does not get to work")?;
        loop {
            self.look()?;
            let (has_outside, unrefused) = self.round.recorder.look(|board| {
                let outside = || board.clients().iter().filter(|(_, state)| state.place.is_outside);
                let unrefused = outside().filter(|(_, state)| state.refused == 0).map(|(name, _)| name.clone());
                (outside().next().is_some(), unrefused.collect::<Vec<String>>())
            });
            if unrefused.is_empty() {
                return if has_outside { self.run_for(REFUSED_FOR).await } else { Ok(()) };
            }
            ensure!(began.elapsed() < START_BOUND, "not refused after {START_BOUND:?}: {unrefused:?}");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends a run that has settled: checks that nothing is unstored, nothing became a dead letter and nothing panicked,
    /// and lets every process that runs end in good order.
    pub async fn finish(mut self) -> Result<()> {
        ensure!(self.round.fleet.is_none(), "the fleet has not settled");
        self.files.keep()?;
        Box::pin(self.cluster.finish()).await?;
        self.files.write_report(true)
    }

    fn progress(&self) -> String {
        let accepted = self.round.recorder.replay(|tape| tape.accepted().len());
        let (clients, missing, open) = self.round.recorder.look(|board| {
            let open: usize = board.clients().values().map(|state| state.unacknowledged.len()).sum();
            (board.clients().len(), board.missing().len(), open)
        });
        format!("{accepted} accepted, {open} open, {} of {clients} clients up to date", clients - missing)
    }

    /// Prints a line with the time since the start.
    pub fn say(&self, what: &str) {
        println!("{} {:6.1} s  {what}", self.options.row, self.began.elapsed().as_secs_f64());
    }

    /// Says now and then how the run goes; fails when a client has ended by itself.
    fn look(&mut self) -> Result<()> {
        if self.progress_at <= Instant::now() {
            self.progress_at = Instant::now() + PROGRESS_INTERVAL;
            self.say(&self.progress());
        }
        self.round.fleet.as_mut().context("the fleet has settled")?.ensure_alive()
    }

    fn ended_processes(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        let Cluster { gateways, persistence, history, directory, nats, postgres, .. } = &mut self.cluster;
        for service in gateways.iter_mut().chain(persistence).chain([history, directory]) {
            if !service.process().is_running() {
                ended.push(service.name().to_owned());
            }
        }
        for index in 0..nats.urls().len() {
            let node = nats.node(index);
            if !node.is_running() {
                ended.push(node.name().to_owned());
            }
        }
        if !postgres.is_running() {
            ended.push("postgres".to_owned());
        }
        ended
    }

    fn keep_report(&mut self, verdict: &Verdict) -> Result<()> {
        let findings: Vec<String> =
            verdict.report.findings.iter().map(|it| format!("{}: {}", it.rule, it.text)).collect();
        let report = json!({
            "row": self.options.row,
            "seed": self.options.seed,
            "round": self.round.number,
            "clean": verdict.is_clean(),
            "settled_after_ms": verdict.settled_after.as_millis(),
            "took_s": self.began.elapsed().as_secs(),
            "lines": self.round.recorder.lines(),
            "accepted": self.round.recorder.replay(|tape| tape.accepted().len()),
            "measured": self.measured,
            "problems": verdict.problems,
            "findings": findings,
        });
        self.files.report = Some((self.round.directory.join("report.json"), report));
        self.files.write_report(false)
    }
}

impl Round {
    async fn start(cluster: &Cluster, options: &WorldOptions, number: u32, directory: PathBuf) -> Result<Self> {
        let seed = options.seed.wrapping_add(u64::from(number));
        let recorder = Recorder::create(&directory.join("recording.jsonl"), options.seed)?;
        let fleet = Box::pin(Fleet::start(cluster, &options.fleet, number, seed, &recorder)).await?;
        Ok(Self {
            number,
            directory,
            recorder,
            fleet: Some(fleet),
            faults_from_us: None,
            open_faults: BTreeSet::new(),
            healed_at: None,
        })
    }

    fn draw(&self, title: &str) -> Result<()> {
        draw(&self.recorder, title, &self.directory)
    }
}

/// What a run leaves behind.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    /// Directories of the processes' logs.
    logs: Vec<PathBuf>,
    recorder: Recorder,
    kept: bool,
    /// Of the present round, and where it goes.
    report: Option<(PathBuf, serde_json::Value)>,
}

impl Files {
    /// Writes the report. A run ends well when nothing failed after it had settled either.
    fn write_report(&mut self, ended_well: bool) -> Result<()> {
        let Some((path, report)) = &mut self.report else { return Ok(()) };
        report["ended_well"] = ended_well.into();
        fs::write(&*path, serde_json::to_string_pretty(report)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn of(directory: PathBuf, cluster: &Cluster, recorder: &Recorder) -> Self {
        let logs = [&cluster.files().join("logs"), cluster.nats.data_dir(), cluster.postgres.data_dir()];
        Self {
            directory,
            logs: logs.map(Path::to_owned).to_vec(),
            recorder: recorder.clone(),
            kept: false,
            report: None,
        }
    }

    fn keep(&mut self) -> Result<()> {
        self.kept = true;
        let target = self.directory.join("logs");
        fs::create_dir_all(&target)?;
        for directory in &self.logs {
            for file in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
                let path = file?.path();
                if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|it| it == "log")) {
                    fs::copy(&path, target.join(name))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // The run has failed already: what cannot be kept is no other failure.
        let kept = self.recorder.flush().and_then(|()| self.keep());
        let drawn = self.recorder.path().parent().map(|place| draw(&self.recorder, "a run that failed", place));
        let complete = kept.is_ok() && drawn.is_some_and(|drawn| drawn.is_ok());
        eprintln!(
            "recording, logs and picture{} are in {}",
            if complete { "" } else { ", as far as they go," },
            self.directory.display()
        );
    }
}

fn draw(recorder: &Recorder, title: &str, directory: &Path) -> Result<()> {
    let picture = recorder.replay(|tape| timeline::draw(title, tape, recorder.now_us()));
    let path = directory.join("timeline.svg");
    fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))
}

/// Where runs leave their files, each in a directory of its own: what the environment names, or `target/faults`.
pub fn files_of_runs() -> PathBuf {
    let named = env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/faults"))
}

/// An empty directory for the files of a run: an earlier one of the same name goes.
fn run_directory(options: &WorldOptions) -> Result<PathBuf> {
    let directory = files_of_runs().join(format!("{}-{}", options.row, options.seed));
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    directory.canonicalize().context("cannot name the directory of the run")
}
