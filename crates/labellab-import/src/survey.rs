//! Owns the first look at the data: what there is, what of it becomes an event, and at which positions.

use std::{collections::HashMap, ops::Range};

use huddle_domain::{Seq, UnixMillis};
use huddle_transfer::{SourceError, TeamPlan};

use crate::{
    message,
    people::{Team, arrange},
    report::{Reason, Report},
    tables::{Key, MessageRow, Tables},
};

/// What is known before the first event.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) teams: Vec<SurveyedTeam>,
    /// The messages of all teams, team by team, ascending by id: 16 bytes for each.
    pub(crate) keys: Vec<Key>,
    pub(crate) plan: Vec<TeamPlan>,
    /// The time of the events that make the teams.
    pub(crate) made: UnixMillis,
    pub(crate) report: Report,
}

/// A team, and where its events are.
#[derive(Debug)]
pub(crate) struct SurveyedTeam {
    pub(crate) team: Team,
    /// Its messages, in [`Survey::keys`].
    pub(crate) keys: Range<usize>,
    /// The position of the first of the events that make it.
    pub(crate) made_seq: u64,
}

/// Reads everything once.
pub(crate) async fn survey(tables: &mut dyn Tables) -> Result<Survey, SourceError> {
    let mut report = Report { place: tables.place().to_owned(), ..Report::default() };
    let people = tables.people().await?;
    let newest_account = people.users.iter().filter_map(|user| user.since).max();
    let teams = arrange(people, &mut report);
    let messages = Messages::read(tables, &teams, &mut report).await?;
    let (highest, newest) = (messages.highest, messages.newest);
    let (keys, ranges) = messages.sorted(teams.len(), &mut report);

    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    report.sort();
    report.teams = count(teams.len());
    report.messages = count(keys.len());
    report.members = teams.iter().map(|team| count(team.members.len())).sum();
    // From the data, so that a second import of the same data makes the same events.
    let made = newest.or(newest_account).unwrap_or_default();
    let made_from = highest.checked_add(1);
    let needed = report.teams.checked_add(report.members);
    let end = made_from.zip(needed).and_then(|(from, needed)| from.checked_add(needed));
    let (Some(mut made_seq), true) = (made_from, end.is_some_and(|end| i64::try_from(end).is_ok())) else {
        return Err(SourceError::Invalid {
            place: format!("{}, table message", tables.place()),
            problem: "there is no room for positions above the highest id".to_owned(),
            remedy: "correct the ids".to_owned(),
        });
    };

    let mut plan = Vec::with_capacity(teams.len());
    let mut surveyed = Vec::with_capacity(teams.len());
    for (team, keys) in teams.into_iter().zip(ranges) {
        let making = 1 + count(team.members.len());
        let last_seq = Seq::new(made_seq + making - 1);
        plan.push(TeamPlan { team: team.id.clone(), last_seq, events: count(keys.len()) + making });
        surveyed.push(SurveyedTeam { team, keys, made_seq });
        made_seq += making;
    }
    Ok(Survey { teams: surveyed, keys, plan, made, report })
}

/// The messages that become events.
#[derive(Debug, Default)]
struct Messages {
    /// Team by index, message.
    found: Vec<(u32, Key)>,
    highest: u64,
    newest: Option<UnixMillis>,
}

impl Messages {
    async fn read(tables: &mut dyn Tables, teams: &[Team], report: &mut Report) -> Result<Self, SourceError> {
        let by_number: HashMap<i64, (u32, &Team)> =
            (0..).zip(teams).map(|(at, team)| (team.number, (at, team))).collect();
        let mut messages = Self::default();
        loop {
            let page = tables.next_page().await?;
            if page.is_empty() {
                return Ok(messages);
            }
            for row in &page {
                messages.take(row, &by_number, report);
            }
        }
    }

    fn take(&mut self, row: &MessageRow, teams: &HashMap<i64, (u32, &Team)>, report: &mut Report) {
        self.highest = self.highest.max(u64::try_from(row.key.id).unwrap_or(0));
        self.newest = self.newest.max(row.time);
        let Some((at, team)) = teams.get(&row.team) else { return report.note(Reason::MessageTeam, row.key.id) };
        match message::event(row, &team.id) {
            Ok(_) => {
                self.found.push((*at, row.key));
                if let Err(reason) = message::entity(row) {
                    report.note(reason, row.key.id);
                }
            }
            Err(reason) => report.note(reason, row.key.id),
        }
    }

    /// The keys team by team, and each team's share of them. Ids are unique in a database; in files the first row counts.
    fn sorted(self, teams: usize, report: &mut Report) -> (Vec<Key>, Vec<Range<usize>>) {
        let mut found = self.found;
        found.sort_unstable_by_key(|(_, key)| *key);
        let repeated = |pair: &&[(u32, Key)]| pair[0].1.id == pair[1].1.id;
        for pair in found.windows(2).filter(repeated) {
            report.note(Reason::MessageRepeated, pair[1].1.id);
        }
        found.dedup_by_key(|(_, key)| key.id);
        found.sort_unstable();
        let mut start = 0;
        let ranges = (0..teams).map(|at| {
            let end = found.partition_point(|(team, _)| usize::try_from(*team).is_ok_and(|team| team <= at));
            std::mem::replace(&mut start, end)..end
        });
        let ranges = ranges.collect();
        (found.into_iter().map(|(_, key)| key).collect(), ranges)
    }
}
