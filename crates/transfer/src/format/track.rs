//! What comes next in an export: the one place that knows the order of lines and what must agree with what. Readers and
//! writers of files both follow it.

use huddle_domain::{Event, Seq};

use super::{FileError, Head, Line, Totals};
use crate::{Digest, TeamPlan, TeamSummary};

/// A place in an export.
#[derive(Debug, Default)]
pub(crate) struct Track {
    head: Option<Head>,
    plan: Vec<TeamPlan>,
    /// Events that the plan announces.
    planned_events: u64,
    /// Teams that have ended.
    teams: usize,
    /// The team that is under way.
    team: Partial,
    /// Events of all teams so far.
    events: u64,
    /// Lines so far.
    lines: u64,
    ended: bool,
}

/// The events of one team so far.
#[derive(Debug, Default)]
struct Partial {
    events: u64,
    last: Option<Event>,
    digest: Digest,
}

impl Partial {
    fn last_seq(&self) -> Seq {
        self.last.as_ref().map_or(Seq::ZERO, |event| event.seq)
    }
}

impl Track {
    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    pub(crate) fn plan(&self) -> &[TeamPlan] {
        &self.plan
    }

    /// Events of all teams so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Whether head and plan are complete.
    pub(crate) fn is_planned(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.teams == self.plan.len() as u64)
    }

    /// Whether the end line has come.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The plan of the team whose events or end line come next.
    pub(crate) fn team(&self) -> Option<&TeamPlan> {
        if self.is_planned() { self.plan.get(self.teams) } else { None }
    }

    /// The last event of the team that is under way.
    pub(crate) fn last_event(&self) -> Option<&Event> {
        self.team.last.as_ref()
    }

    /// The end line of the team that is under way, as its events have it.
    pub(crate) fn summary(&self) -> Option<TeamSummary> {
        let team = self.team()?.team.clone();
        let Partial { events, digest, .. } = &self.team;
        let sha256 = digest.clone().finish();
        Some(TeamSummary { team, events: *events, last_seq: self.team.last_seq(), sha256 })
    }

    /// The end line of the file.
    pub(crate) fn totals(&self) -> Totals {
        Totals { teams: self.plan.len() as u64, events: self.events }
    }

    /// Takes the next line; leaves everything as it is when it is not what comes next.
    pub(crate) fn accept(&mut self, line: &Line) -> Result<(), FileError> {
        self.check_and_take(line, self.lines + 1)?;
        self.lines += 1;
        Ok(())
    }

    /// Takes the next line, an event, which has been written as `line`.
    pub(crate) fn accept_written(&mut self, event: &Event, line: &[u8]) -> Result<(), FileError> {
        self.check_event(event, self.lines + 1)?;
        self.team.digest.update_line(line);
        self.take_event(event);
        self.lines += 1;
        Ok(())
    }

    fn check_and_take(&mut self, line: &Line, number: u64) -> Result<(), FileError> {
        if self.ended {
            return Err(FileError::AfterEnd { line: number });
        }
        match line {
            Line::Head(head) if self.head.is_none() => {
                if head.teams == 0 && head.events != 0 {
                    return Err(FileError::Plan { line: number, problem: "events are announced without teams" });
                }
                self.head = Some(head.clone());
                Ok(())
            }
            _ if self.head.is_none() => Err(FileError::NotAnExport),
            Line::Plan(plan) if !self.is_planned() => self.accept_plan(plan, number),
            _ if !self.is_planned() => {
                Err(FileError::Unexpected { line: number, expected: "another line of the plan" })
            }
            Line::Event(event) => {
                self.check_event(event, number)?;
                self.team.digest.update(event);
                self.take_event(event);
                Ok(())
            }
            Line::TeamEnd(summary) => self.accept_team_end(summary, number),
            Line::End(totals) if self.teams == self.plan.len() => {
                if *totals != self.totals() {
                    return Err(FileError::Unexpected { line: number, expected: "another number of teams or events" });
                }
                self.ended = true;
                Ok(())
            }
            Line::End(_) | Line::Plan(_) | Line::Head(_) => Err(FileError::Unexpected {
                line: number,
                expected: if self.team().is_some() { "an event or the end of a team" } else { "the end line" },
            }),
        }
    }

    fn accept_plan(&mut self, plan: &TeamPlan, line: u64) -> Result<(), FileError> {
        let problem = |problem| Err(FileError::Plan { line, problem });
        if plan.events == 0 || plan.last_seq.get() < plan.events {
            return problem("positions below the number of events");
        }
        if self.plan.last().is_some_and(|before| before.team >= plan.team) {
            return problem("teams out of order, or twice");
        }
        let planned = self.planned_events.saturating_add(plan.events);
        let Some(head) = &self.head else { return Err(FileError::NotAnExport) };
        let is_last = self.plan.len() as u64 + 1 == head.teams;
        if planned > head.events || (is_last && planned != head.events) {
            return problem("the teams' events do not add up to what the first line announces");
        }
        self.planned_events = planned;
        self.plan.push(plan.clone());
        Ok(())
    }

    fn check_event(&self, event: &Event, line: u64) -> Result<(), FileError> {
        let Some(plan) = self.team() else {
            return Err(FileError::Unexpected { line, expected: "the end line" });
        };
        if plan.team != event.team {
            return Err(FileError::Unexpected { line, expected: "an event of the plan's next team" });
        }
        let after = self.team.last_seq();
        if event.prev_seq != after || event.seq <= after {
            let Event { team, seq, prev_seq, .. } = event;
            let (team, seq, prev_seq) = (team.clone(), *seq, *prev_seq);
            return Err(FileError::OutOfOrder { line, team, seq, prev_seq, after });
        }
        let found = self.team.events + 1;
        if found > plan.events || event.seq > plan.last_seq {
            return Err(count(line, plan, found, event.seq, plan.events, plan.last_seq, "plan"));
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Event) {
        self.team.events += 1;
        self.team.last = Some(event.clone());
        self.events += 1;
    }

    fn accept_team_end(&mut self, summary: &TeamSummary, line: u64) -> Result<(), FileError> {
        let Some(plan) = self.plan.get(self.teams) else {
            return Err(FileError::Unexpected { line, expected: "the end line" });
        };
        if plan.team != summary.team {
            return Err(FileError::Unexpected { line, expected: "the end of the plan's next team" });
        }
        let (found, found_seq) = (self.team.events, self.team.last_seq());
        for (events, last_seq, by) in
            [(summary.events, summary.last_seq, "end line"), (plan.events, plan.last_seq, "plan")]
        {
            if (events, last_seq) != (found, found_seq) {
                return Err(count(line, plan, found, found_seq, events, last_seq, by));
            }
        }
        if summary.sha256 != self.team.digest.clone().finish() {
            return Err(FileError::Digest { line, team: plan.team.clone() });
        }
        self.team = Partial::default();
        self.teams += 1;
        Ok(())
    }
}

fn count(
    line: u64,
    plan: &TeamPlan,
    found: u64,
    found_seq: Seq,
    events: u64,
    last_seq: Seq,
    by: &'static str,
) -> FileError {
    FileError::Count { line, team: plan.team.clone(), found, found_seq, events, last_seq, by }
}
