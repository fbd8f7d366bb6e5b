//! Owns a directory of CSV files as LabelLab's tables.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use huddle_transfer::SourceError;

use super::sheet::{Sheet, Unread, unreadable};
use crate::{
    OpenError,
    tables::{Key, MemberRow, MessageRow, PAGE_ROWS, People, ProjectRow, Tables, TeamRow, UserRow},
};

const MESSAGES: (&str, &[&str]) = ("message.csv", &["id", "body", "team_id", "user_id", "timestamp"]);
const TEAMS: (&str, &[&str]) = ("team.csv", &["id", "team_name"]);
const MEMBERS: (&str, &[&str]) = ("projectmember.csv", &["id", "user_id", "team_id"]);
const USERS: (&str, &[&str]) = ("user.csv", &["id", "username"]);
/// May be missing.
const PROJECTS: (&str, &[&str]) = ("project.csv", &["id", "admin_id"]);

/// Tables in CSV files. The files stay open: what is read later is what was looked at first, even when they are replaced.
#[derive(Debug)]
pub(crate) struct CsvTables {
    place: String,
    /// Away while another thread reads files.
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    messages: Sheet,
    teams: Sheet,
    members: Sheet,
    users: Sheet,
    projects: Option<Sheet>,
}

impl CsvTables {
    pub(crate) async fn open(directory: PathBuf) -> Result<Self, OpenError> {
        let place = directory.display().to_string();
        let files = blocking(&place, move || Files::open(&directory)).await??;
        Ok(Self { place, files: Some(files) })
    }

    /// Does `work` on a thread that may wait for the disk.
    async fn with_files<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Files) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let Some(mut files) = self.files.take() else {
            return Err(unreadable(&self.place, io::Error::other("an earlier reading was interrupted")));
        };
        let done = blocking(&self.place, move || {
            let done = work(&mut files);
            (files, done)
        });
        let (files, done) = done.await?;
        self.files = Some(files);
        done
    }
}

async fn blocking<T: Send + 'static>(place: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| unreadable(place, error.into()))
}

#[async_trait]
impl Tables for CsvTables {
    fn place(&self) -> &str {
        &self.place
    }

    async fn people(&mut self) -> Result<People, SourceError> {
        self.with_files(Files::people).await
    }

    async fn next_page(&mut self) -> Result<Vec<MessageRow>, SourceError> {
        self.with_files(Files::next_page).await
    }

    async fn messages(&mut self, keys: &[Key]) -> Result<Vec<MessageRow>, SourceError> {
        let keys = keys.to_vec();
        self.with_files(move |files| files.messages(&keys)).await
    }
}

impl Files {
    fn open(directory: &Path) -> Result<Self, SourceError> {
        let open = |(name, columns)| Unread::open(directory, name, columns);
        let (messages, teams, members, users) = (open(MESSAGES)?, open(TEAMS)?, open(MEMBERS)?, open(USERS)?);
        let projects = if directory.join(PROJECTS.0).exists() { Some(open(PROJECTS)?) } else { None };
        let escapes = [&messages, &teams, &members, &users].into_iter().chain(&projects).any(Unread::escapes);
        Ok(Self {
            messages: messages.sheet(escapes)?,
            teams: teams.sheet(escapes)?,
            members: members.sheet(escapes)?,
            users: users.sheet(escapes)?,
            projects: projects.map(|projects| projects.sheet(escapes)).transpose()?,
        })
    }

    fn people(&mut self) -> Result<People, SourceError> {
        let [id, name, role, project] = columns(&self.teams, ["id", "team_name", "role", "project_id"]);
        let teams = all(&mut self.teams, |sheet| {
            Ok(TeamRow {
                id: sheet.number(id)?,
                name: sheet.text(name)?.to_owned(),
                role: sheet.nullable(role)?.map(str::to_owned),
                project: sheet.nullable_number(project)?,
            })
        })?;
        let [id, user, team] = columns(&self.members, ["id", "user_id", "team_id"]);
        let members = all(&mut self.members, |sheet| {
            Ok(MemberRow { id: sheet.number(id)?, user: sheet.number(user)?, team: sheet.number(team)? })
        })?;
        let [id, username, date] = columns(&self.users, ["id", "username", "date"]);
        let users = all(&mut self.users, |sheet| {
            let username = sheet.text(username)?.to_owned();
            Ok(UserRow { id: sheet.number(id)?, username, since: sheet.time(date)? })
        })?;
        let projects = match &mut self.projects {
            None => Vec::new(),
            Some(sheet) => {
                let [id, admin] = columns(sheet, ["id", "admin_id"]);
                all(sheet, |sheet| Ok(ProjectRow { id: sheet.number(id)?, admin: sheet.number(admin)? }))?
            }
        };
        Ok(People { teams, members, users, projects })
    }

    fn next_page(&mut self) -> Result<Vec<MessageRow>, SourceError> {
        let columns = MessageColumns::of(&self.messages);
        let mut page = Vec::new();
        while page.len() < PAGE_ROWS
            && let Some(offset) = self.messages.next()?
        {
            page.push(columns.row(&self.messages, offset)?);
        }
        Ok(page)
    }

    fn messages(&mut self, keys: &[Key]) -> Result<Vec<MessageRow>, SourceError> {
        let columns = MessageColumns::of(&self.messages);
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            self.messages.seek(key.offset);
            if let Some(offset) = self.messages.next()? {
                rows.push(columns.row(&self.messages, offset)?);
            }
        }
        Ok(rows)
    }
}

/// Where the columns of `message.csv` stand.
#[derive(Debug, Clone, Copy)]
struct MessageColumns([Option<usize>; 7]);

impl MessageColumns {
    fn of(sheet: &Sheet) -> Self {
        Self(columns(sheet, ["id", "body", "team_id", "user_id", "entity_type", "entity_id", "timestamp"]))
    }

    fn row(self, sheet: &Sheet, offset: u64) -> Result<MessageRow, SourceError> {
        let [id, body, team, user, entity_type, entity_id, timestamp] = self.0;
        Ok(MessageRow {
            key: Key { id: sheet.number(id)?, offset },
            body: sheet.text(body)?.to_owned(),
            team: sheet.number(team)?,
            user: sheet.number(user)?,
            entity_type: sheet.nullable(entity_type)?.map(str::to_owned),
            entity_id: match sheet.nullable(entity_id)? {
                Some(text) if !text.trim().is_empty() => sheet.nullable_number(entity_id)?,
                _ => None,
            },
            time: sheet.time(timestamp)?,
        })
    }
}

fn columns<const N: usize>(sheet: &Sheet, names: [&str; N]) -> [Option<usize>; N] {
    names.map(|name| sheet.column(name))
}

fn all<T>(sheet: &mut Sheet, row: impl Fn(&Sheet) -> Result<T, SourceError>) -> Result<Vec<T>, SourceError> {
    let mut rows = Vec::new();
    while sheet.next()?.is_some() {
        rows.push(row(sheet)?);
    }
    Ok(rows)
}
