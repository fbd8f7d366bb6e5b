//! Owns the common oracle: what must hold at the end of every run, whatever was broken in it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use huddle_domain::Event;
use huddle_proto::history::v1::ListEventsRequest;
use huddle_verify::{
    Counts, Options, Recording, Report, check,
    recording::{EventNote, HISTORY_CLIENT, Note, Sees, kind},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    fleet::{Fleet, event_note},
    recorder::Recorder,
};
use crate::{Access, Cluster, SERVICE_TOKEN};

/// After healing everything is as it should be within this time, counted from the last mark that something was healed.
pub const SETTLE_BOUND: Duration = Duration::from_secs(30);
/// Where a run goes on for longer than that after healing: within this time after nobody sends anything new any longer.
pub const DRAIN_BOUND: Duration = Duration::from_secs(10);
/// What a debug build on a busy machine of two processors gets on top of either.
pub const SETTLE_MARGIN: Duration = Duration::from_secs(15);

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The largest page of events that history gives.
const PAGE: u32 = 1_000;
/// Problems that an error quotes.
const QUOTED: usize = 12;
/// Findings that it quotes of each rule.
const QUOTED_PER_RULE: usize = 2;
/// Among so many attempts to send there are late retries: one in 60 is one.
const ATTEMPTS_WITH_DUPLICATES: u64 = 600;

/// Everything of each team, oldest first.
type Histories = BTreeMap<String, Vec<EventNote>>;

/// How a run ended.
#[derive(Debug)]
pub struct Verdict {
    /// What the checker found.
    pub report: Report,
    /// How long it took until every client had everything.
    pub settled_after: Duration,
    /// Where the recording, the logs and the picture are.
    pub directory: PathBuf,
    /// What was wrong besides findings of the checker.
    pub(super) problems: Vec<String>,
}

impl Verdict {
    /// Whether everything held.
    pub fn is_clean(&self) -> bool {
        self.report.is_clean() && self.problems.is_empty()
    }

    /// The first things that did not hold, for people.
    pub(super) fn complaint(&self) -> String {
        let mut text = format!(
            "{} findings of the checker and {} other problems; files are in {}",
            self.report.total(),
            self.problems.len(),
            self.directory.display()
        );
        for problem in self.problems.iter().take(QUOTED) {
            // Writing into memory does not fail.
            let _ = write!(text, "\n  problem: {problem}");
        }
        for count in &self.report.by_rule {
            let findings = self.report.findings.iter().filter(|finding| finding.rule == count.rule);
            for finding in findings.take(QUOTED_PER_RULE) {
                let _ = write!(text, "\n  {}: {} (lines {:?})", finding.rule, finding.text, finding.lines);
            }
            let more = count.findings.saturating_sub(QUOTED_PER_RULE as u64);
            if more > 0 {
                let _ = write!(text, "\n  {}: and {more} more", count.rule);
            }
        }
        text
    }
}

/// What is expected of a run besides what holds in any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// See [`super::WorldOptions::revocation_bound`].
    pub(super) revocation_bound: Option<Duration>,
    /// See [`super::WorldOptions::exercises_all`].
    pub(super) exercises_all: bool,
    /// How long ago the last fault was healed; zero when none was, or one is under way.
    pub(super) healed_for: Duration,
}

/// Lets nobody send anything new, waits until everything is where it belongs, stops the clients and checks what they
/// noted down. Fails only where it cannot tell: what did not hold is in the verdict.
pub(super) async fn settle(
    cluster: &mut Cluster,
    mut fleet: Fleet,
    recorder: &Recorder,
    directory: &Path,
    expected: Expected,
) -> Result<Verdict> {
    let began = Instant::now();
    let deadline = began + SETTLE_BOUND.saturating_sub(expected.healed_for).max(DRAIN_BOUND) + SETTLE_MARGIN;
    let mut problems = Vec::new();
    if let Err(error) = fleet.quiet(deadline).await {
        problems.push(format!("{error:#}"));
    }
    wait_for(deadline, &mut problems, || unacknowledged(recorder)).await;
    match timeout_at(deadline, cluster.wait_until_stored()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => problems.push(format!("{error:#}")),
        Err(_) => problems.push("not everything in the log is stored in time".to_owned()),
    }
    let mut histories = Histories::new();
    for team in fleet.teams().keys() {
        match timeout_at(deadline, whole_history(cluster, team)).await {
            Ok(Ok(events)) => drop(histories.insert(team.clone(), events)),
            Ok(Err(error)) => problems.push(format!("history of {team}: {error:#}")),
            Err(_) => problems.push(format!("history of {team} cannot be read in time")),
        }
    }
    wait_for(deadline, &mut problems, || behind(recorder, &histories)).await;
    let settled_after = began.elapsed();
    note_settled(recorder, &histories);
    if let Err(error) = fleet.stop().await {
        problems.push(format!("{error:#}"));
    }
    for (team, mut events) in histories {
        // What came after that is wrong, and for the checker to see.
        let end = events.last().map_or(0, |event| event.seq);
        match events_after(cluster, &team, end).await {
            Ok(more) => events.extend(more),
            Err(error) => problems.push(format!("history of {team}: {error:#}")),
        }
        recorder.note(HISTORY_CLIENT, 0, Note::History { team, events });
    }
    recorder.flush()?;
    let report = check_file(recorder.path(), expected.revocation_bound).await?;
    if expected.exercises_all {
        problems.extend(not_exercised(recorder, &report.counts));
    }
    Ok(Verdict { report, settled_after, directory: directory.to_owned(), problems })
}

/// Waits until there is nothing to complain of; what there is at the deadline becomes problems.
async fn wait_for(deadline: Instant, problems: &mut Vec<String>, complaints: impl Fn() -> Vec<String>) {
    loop {
        let present = complaints();
        if present.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            return problems.extend(present);
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn unacknowledged(recorder: &Recorder) -> Vec<String> {
    recorder.look(|board| {
        let with_some = board.clients().iter().filter(|(_, state)| !state.unacknowledged.is_empty());
        let complaint = with_some.map(|(name, state)| {
            let first = state.unacknowledged.keys().next();
            format!(
                "{name} does not get {} sends acknowledged, such as {first:?}; it is connected to {:?}",
                state.unacknowledged.len(),
                state.connected_to
            )
        });
        complaint.collect()
    })
}

fn behind(recorder: &Recorder, histories: &Histories) -> Vec<String> {
    recorder.look(|board| {
        let mut complaints = Vec::new();
        for (name, state) in board.clients() {
            for team in &state.place.teams {
                let Some(events) = histories.get(team) else { continue };
                let (end, cursor) = (end_for(events, state.sees), state.cursors.get(team).copied().unwrap_or_default());
                if cursor < end || !state.is_whole() {
                    complaints.push(format!(
                        "{name} has {team} up to {cursor}, and history ends at {end}; it is connected to {:?} and has \
                         caught up with {:?}",
                        state.connected_to, state.caught_up
                    ));
                }
            }
        }
        complaints
    })
}

/// The last position that a client can know of.
fn end_for(events: &[EventNote], sees: Option<Sees>) -> u64 {
    let shown = |event: &&EventNote| sees != Some(Sees::Messages) || event.kind == kind::POSTED;
    events.iter().rev().find(shown).map_or(0, |event| event.seq)
}

/// Only of clients that have everything: the others are complained of already.
fn note_settled(recorder: &Recorder, histories: &Histories) {
    for (name, state) in recorder.clients() {
        for team in &state.place.teams {
            let Some(events) = histories.get(team) else { continue };
            let cursor = state.cursors.get(team).copied().unwrap_or_default();
            if cursor >= end_for(events, state.sees) {
                recorder.note(&name, state.connection, Note::Settled { team: team.clone(), cursor });
            }
        }
    }
}

/// Asks again while history is not back.
async fn whole_history(access: &Access, team: &str) -> Result<Vec<EventNote>> {
    let mut attempts = 0;
    loop {
        match events_after(access, team, 0).await {
            Ok(events) => return Ok(events),
            // About the time that settling may take.
            Err(error) if attempts > 90 => return Err(error),
            Err(_) => attempts += 1,
        }
        sleep(10 * POLL_INTERVAL).await;
    }
}

async fn events_after(access: &Access, team: &str, after: u64) -> Result<Vec<EventNote>> {
    let mut history = access.history_client(SERVICE_TOKEN)?;
    let mut events: Vec<EventNote> = Vec::new();
    loop {
        let after = events.last().map_or(after, |event| event.seq);
        let request = ListEventsRequest { team: team.to_owned(), after, limit: PAGE, min_seq: 0 };
        let page = history.list_events(request).await.context("cannot list events")?.into_inner();
        for event in page.events {
            events.push(event_note(&Event::try_from(event)?));
        }
        if !page.has_more {
            return Ok(events);
        }
    }
}

/// The guarantees that nothing was done about, so that nothing is known of them.
fn not_exercised(recorder: &Recorder, counts: &Counts) -> Vec<String> {
    let (has_changes, refused) = recorder.look(|board| {
        let outside = board.clients().values().filter(|state| state.place.is_outside);
        let refused: Vec<u64> = outside.map(|state| state.refused).collect();
        (board.clients().values().any(|state| state.place.is_guest), refused)
    });
    let done = [
        ("G1: no second receipt came", counts.stored > 0),
        ("G4: no retry was answered", counts.duplicates > 0 || counts.attempts < ATTEMPTS_WITH_DUPLICATES),
        ("G5: no read was answered", counts.reads > 0),
        ("G6: nobody was added or removed", counts.membership_changes > 0 || !has_changes),
        ("G6: somebody who is no member was never refused", refused.iter().all(|refused| *refused > 0)),
    ];
    done.into_iter().filter(|(_, is_done)| !is_done).map(|(what, _)| what.to_owned()).collect()
}

async fn check_file(path: &Path, calm_revocation_bound: Option<Duration>) -> Result<Report> {
    let path = path.to_owned();
    let options = Options { calm_revocation_bound, ..Options::default() };
    let checked = tokio::task::spawn_blocking(move || {
        let recording = Recording::read(BufReader::new(File::open(&path)?))
            .with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok(check(&recording, &options))
    });
    checked.await.context("the checker panicked")?
}
