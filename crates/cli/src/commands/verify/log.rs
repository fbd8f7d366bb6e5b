//! What the log still holds of a team, beside history.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use huddle_domain::{Event, Seq, TeamId};
use huddle_log::Log;
use huddle_proto::event::v1 as wire;
use huddle_verify::team::Check;

use super::grpc::note;

/// How far the log was compared, or why it was not.
#[derive(Debug)]
pub(super) enum Comparison {
    /// From after this position (exclusive) to the log's last event.
    From(Seq),
    /// There is nothing to compare: why, in words.
    Nothing(&'static str),
    /// There is, and it could not be done: why, in words.
    Impossible(&'static str),
}

/// Compares the events of `team` up to `through`, the position of one of its events, with what `check` took from history,
/// which reflects everything up to there.
pub(super) async fn compare(log: &dyn Log, team: &TeamId, through: Seq, check: &mut Check) -> Result<Comparison> {
    let Some((start, first)) = reach(log, team, through, check).await? else {
        return Ok(Comparison::Nothing("the log: it does not reach back to anything that history has"));
    };
    check.begin_log(start.get());
    let mut page = first;
    loop {
        for event in &page {
            check.take_logged(&note(&wire::Event::from(&**event)));
        }
        let Some(last) = page.last().map(|event| event.seq).filter(|last| *last < through) else { break };
        page = match events(log, team, last, through).await? {
            Some(page) => page,
            None => return Ok(Comparison::Impossible("the log to its end: it let go of events meanwhile")),
        };
    }
    check.end_log(through.get());
    Ok(Comparison::From(start))
}

/// The earliest position of history, or 0, that the log reaches back to, and the first page after it.
async fn reach(log: &dyn Log, team: &TeamId, through: Seq, check: &Check) -> Result<Option<(Seq, Vec<Arc<Event>>)>> {
    // The log holds everything after some position: the search is for the first one among `0, positions…`.
    let position = |index: usize| match index.checked_sub(1) {
        None => Some(Seq::ZERO),
        Some(index) => check.position(index).map(Seq::new),
    };
    let (mut low, mut high) = (0, check.len() + 1);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let after = position(middle).filter(|after| *after < through);
        let page = match after {
            Some(after) => events(log, team, after, through).await?.map(|page| (after, page)),
            None => None,
        };
        match (after, page) {
            // Beyond the log's last event there is nothing to compare.
            (None, _) => high = middle,
            (Some(_), Some(page)) => {
                found = Some(page);
                high = middle;
            }
            (Some(_), None) => low = middle + 1,
        }
    }
    Ok(found)
}

async fn events(log: &dyn Log, team: &TeamId, after: Seq, through: Seq) -> Result<Option<Vec<Arc<Event>>>> {
    log.events_between(team, after, through).await.context("cannot read the log")
}
