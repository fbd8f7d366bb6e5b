//! Owns LabelLab's data as a source of an import: team by team, messages first, then what makes the team.

use std::fmt;

use async_trait::async_trait;
use huddle_domain::{ClientId, Event, EventKind, IdError, Seq, UserId};
use huddle_transfer::{CHUNK_EVENTS_MAX, Digest, Item, Source, SourceError, TeamPlan, TeamSummary};

use crate::{
    OpenError,
    csv::CsvTables,
    message,
    mysql::MySqlTables,
    place::Place,
    postgres::PostgresTables,
    report::Report,
    survey::{Survey, SurveyedTeam, survey},
    tables::Tables,
};

/// LabelLab's data, opened and surveyed.
///
/// A database is read within one snapshot, on one connection, which stays open until this is dropped. Memory: 16 bytes a
/// message, the names of all users, and one chunk of events.
pub struct LabelLab {
    tables: Box<dyn Tables>,
    survey: Survey,
    team: usize,
    /// How far the present team has got.
    sent: usize,
    last_seq: Seq,
    digest: Digest,
}

impl fmt::Debug for LabelLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelLab")
            .field("place", &self.survey.report.place)
            .field("team", &self.team)
            .finish_non_exhaustive()
    }
}

/// Opens `place` and reads it once from beginning to end: the plan and the report are complete then.
///
/// `place` is a URL (`mysql://user:password@host:port/database`, `mariadb://…`, `postgres://…`, `postgresql://…`, with or
/// without SQLAlchemy's driver, as in `mysql+pymysql://…`) or a directory that holds `message.csv`, `team.csv`,
/// `projectmember.csv`, `user.csv` and, if at hand, `project.csv`.
///
/// # Cancel safety
/// Dropping the future closes what was opened; nothing is ever written.
pub async fn open(place: &str) -> Result<LabelLab, OpenError> {
    let mut tables: Box<dyn Tables> = match Place::parse(place)? {
        Place::MySql(url) => Box::new(MySqlTables::open(&url).await?),
        Place::Postgres(url) => Box::new(PostgresTables::open(&url).await?),
        Place::Directory(path) => Box::new(CsvTables::open(path).await?),
    };
    let survey = survey(&mut *tables).await?;
    Ok(LabelLab { tables, survey, team: 0, sent: 0, last_seq: Seq::ZERO, digest: Digest::new() })
}

impl LabelLab {
    /// What will be imported and what will not.
    pub fn report(&self) -> &Report {
        &self.survey.report
    }

    /// The next messages of `team`, from the one at `at` on.
    async fn messages(&mut self, at: usize) -> Result<Vec<Event>, SourceError> {
        let SurveyedTeam { team, keys, .. } = &self.survey.teams[self.team];
        let keys = &self.survey.keys[keys.clone()][at..];
        let keys = &keys[..keys.len().min(CHUNK_EVENTS_MAX)];
        let rows = self.tables.messages(keys).await?;
        let same = rows.len() == keys.len() && rows.iter().zip(keys).all(|(row, key)| row.key == *key);
        let events = rows.iter().map(|row| message::event(row, &team.id));
        let events = if same { events.collect::<Result<Vec<_>, _>>().ok() } else { None };
        events.ok_or_else(|| SourceError::Invalid {
            place: format!("{}, messages of team {}", self.tables.place(), team.id),
            problem: "they have changed while they were read".to_owned(),
            remedy: "stop whatever writes them, and start the import again".to_owned(),
        })
    }

    /// What makes the team, from the event at `at` on.
    fn making(&self, at: usize) -> Result<Vec<Event>, SourceError> {
        let surveyed = &self.survey.teams[self.team];
        let count = 1 + surveyed.team.members.len();
        let events = (at..count.min(at + CHUNK_EVENTS_MAX)).map(|at| making(surveyed, at, &self.survey));
        // Ids that LabelLab's numbers are made into are valid ones; the type does not know.
        events.collect::<Result<_, _>>().map_err(|error| SourceError::Invalid {
            place: format!("{}, team {}", self.tables.place(), surveyed.team.id),
            problem: error.to_string(),
            remedy: "correct the id".to_owned(),
        })
    }

    fn chained(&mut self, mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            event.prev_seq = std::mem::replace(&mut self.last_seq, event.seq);
            self.digest.update(event);
        }
        self.sent += events.len();
        events
    }
}

/// The event number `at` of those that make the team.
fn making(surveyed: &SurveyedTeam, at: usize, survey: &Survey) -> Result<Event, IdError> {
    let team = &surveyed.team;
    let (client_id, kind) = match at.checked_sub(1).and_then(|at| team.members.get(at)) {
        None => {
            let kind = EventKind::TeamCreated { name: team.name.clone(), owner: team.owner.clone() };
            (format!("labellab-team-{}", team.id), kind)
        }
        Some(member) => {
            let (user, name) = (member.user.clone(), member.name.clone());
            (format!("labellab-member-{user}"), EventKind::MemberAdded { user, role: member.role, name })
        }
    };
    Ok(Event {
        team: team.id.clone(),
        seq: Seq::new(surveyed.made_seq.saturating_add(u64::try_from(at).unwrap_or(u64::MAX))),
        prev_seq: Seq::ZERO,
        time: survey.made,
        sender: UserId::parse(UserId::SERVICE)?,
        client_id: ClientId::parse(&client_id)?,
        kind,
    })
}

#[async_trait]
impl Source for LabelLab {
    fn plan(&self) -> &[TeamPlan] {
        &self.survey.plan
    }

    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        let Some(surveyed) = self.survey.teams.get(self.team) else { return Ok(None) };
        let (team, messages) = (surveyed.team.id.clone(), surveyed.keys.len());
        let all = messages + 1 + surveyed.team.members.len();
        if self.sent < all {
            let events = match self.sent.checked_sub(messages) {
                None => self.messages(self.sent).await?,
                Some(made) => self.making(made)?,
            };
            return Ok(Some(Item::Events { team, events: self.chained(events) }));
        }
        let summary = TeamSummary {
            team,
            events: u64::try_from(all).unwrap_or(u64::MAX),
            last_seq: std::mem::take(&mut self.last_seq),
            sha256: std::mem::take(&mut self.digest).finish(),
        };
        self.team += 1;
        self.sent = 0;
        Ok(Some(Item::TeamEnd(summary)))
    }
}
