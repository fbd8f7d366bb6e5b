//! What there is to export: the teams, and how far each reaches now.

use huddle_domain::{Seq, TeamId};
use huddle_store::EventStore;

use super::{ExportError, ExportOptions};
use crate::{
    Progress, Step, TeamPlan,
    format::{Head, VERSION},
};

/// Events that are read from the store at once: 16 MB when all of them are as long as they may be.
pub(super) const PAGE_EVENTS: u32 = 1_000;

/// Teams that are listed at once.
const PAGE_TEAMS: u32 = 1_000;

/// Counts the events of the teams that were asked for. What is stored later is not part of the export.
pub(super) async fn plan(
    store: &dyn EventStore,
    options: &ExportOptions,
    progress: &mut dyn Progress,
) -> Result<(Head, Vec<TeamPlan>), ExportError> {
    let mut teams = Vec::new();
    let mut events = 0;
    if let Some(selection) = selection(options) {
        for team in selection {
            let plan = extent(store, &team).await?.ok_or(ExportError::NoSuchTeam { team })?;
            count(&mut teams, &mut events, plan, progress);
        }
    } else {
        let mut after = None;
        loop {
            let page = store.list_teams(after.as_ref(), PAGE_TEAMS).await?;
            for team in &page.items {
                if let Some(plan) = extent(store, team).await? {
                    count(&mut teams, &mut events, plan, progress);
                }
            }
            match page.items.into_iter().next_back() {
                Some(last) if page.has_more => after = Some(last),
                _ => break,
            }
        }
    }
    let head = Head {
        version: VERSION,
        created_ms: u64::try_from(options.created.0).unwrap_or_default(),
        program: options.program.clone(),
        selection: selected(options),
        teams: teams.len() as u64,
        events,
    };
    Ok((head, teams))
}

/// The teams that were asked for, each once, in the order of the file; `None` for all.
fn selection(options: &ExportOptions) -> Option<Vec<TeamId>> {
    let mut teams = options.teams.clone()?;
    teams.sort_unstable();
    teams.dedup();
    Some(teams)
}

/// The teams that were asked for, as the head has them.
pub(super) fn selected(options: &ExportOptions) -> Option<Vec<String>> {
    Some(selection(options)?.iter().map(ToString::to_string).collect())
}

fn count(teams: &mut Vec<TeamPlan>, events: &mut u64, plan: TeamPlan, progress: &mut dyn Progress) {
    *events += plan.events;
    teams.push(plan);
    progress.step(Step::Counting { teams: teams.len() as u64, events: *events });
}

/// How many events `team` has and where they end; `None` when it has none.
async fn extent(store: &dyn EventStore, team: &TeamId) -> Result<Option<TeamPlan>, ExportError> {
    let mut events = 0;
    let mut last_seq = Seq::ZERO;
    loop {
        let page = store.list_events(team, last_seq, PAGE_EVENTS, None).await?;
        events += page.items.len() as u64;
        last_seq = page.items.last().map_or(last_seq, |event| event.seq);
        if !page.has_more || page.items.is_empty() {
            return Ok((events > 0).then(|| TeamPlan { team: team.clone(), last_seq, events }));
        }
    }
}
