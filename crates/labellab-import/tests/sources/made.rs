//! Owns made-up data of LabelLab, and what Huddle must make of it: both come from a script of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use huddle_devstack::Tools;
use huddle_domain::{Event, EventKind, UserId};
use huddle_labellab_import::Reason;
use serde::Deserialize;
use tempfile::TempDir;

use crate::reading::Reading;

pub(crate) const TABLES: [&str; 5] = ["user", "project", "team", "projectmember", "message"];

pub(crate) struct Made {
    directory: TempDir,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    teams: Vec<Team>,
    left_out: BTreeMap<String, Vec<i64>>,
    /// What messages are about: kind and id by message.
    entities: BTreeMap<u64, (String, String)>,
    foreign_entities: Vec<i64>,
    owners_added: Vec<i64>,
    highest: u64,
    made: i64,
}

#[derive(Deserialize)]
struct Team {
    id: u64,
    name: String,
    owner: u64,
    /// Id, sender, milliseconds, body.
    messages: Vec<(u64, u64, i64, String)>,
    /// Role and name by user.
    members: BTreeMap<u64, (String, String)>,
}

impl Made {
    pub(crate) fn new(messages: usize, whole_seconds: bool) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/labellab_database.py");
        let mut python = Command::new(Tools::locate()?.python()?);
        python.arg(script).arg(directory.path()).arg(format!("--messages={messages}"));
        if whole_seconds {
            python.arg("--whole-seconds");
        }
        ensure!(python.status()?.success(), "the script failed");
        let expected = serde_json::from_slice(&std::fs::read(directory.path().join("expected.json"))?)?;
        Ok(Self { directory, expected })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory with phpMyAdmin's CSV.
    pub(crate) fn csv(&self) -> String {
        self.path("csv").display().to_string()
    }

    /// Compares event by event.
    pub(crate) fn assert_is(&self, reading: &Reading) {
        let Expected { teams, left_out, entities, foreign_entities, owners_added, highest, made } = &self.expected;
        let mut events = reading.events.iter();
        let mut position = *highest;
        for team in teams {
            let mut previous = 0;
            let mut next = |seq: u64, time: i64, sender: &str, client_id: String| -> &Event {
                let event = events.next().expect("an event is missing");
                let header = (event.team.as_str(), event.seq.get(), event.prev_seq.get(), event.time.0);
                assert_eq!(header, (team.id.to_string().as_str(), seq, previous, time));
                assert_eq!((event.sender.as_str(), event.client_id.as_str()), (sender, client_id.as_str()));
                previous = seq;
                event
            };
            for (id, user, millis, body) in &team.messages {
                let event = next(*id, *millis, &user.to_string(), format!("labellab-message-{id}"));
                let EventKind::Posted { body: stored, tags } = &event.kind else { panic!("no message at {id}") };
                assert_eq!(stored.as_str(), body);
                let about = tags.entity().map(|entity| (entity.kind.to_string(), entity.id.to_string()));
                assert_eq!((about.as_ref(), tags.mentions()), (entities.get(id), &[][..]), "message {id}");
            }
            position += 1;
            let event = next(position, *made, UserId::SERVICE, format!("labellab-team-{}", team.id));
            let EventKind::TeamCreated { name, owner } = &event.kind else { panic!("no creation at {position}") };
            assert_eq!((name.as_str(), owner.as_str()), (team.name.as_str(), team.owner.to_string().as_str()));
            let mut members: Vec<_> = team.members.iter().collect();
            members.sort_by_key(|(user, _)| (**user != team.owner, **user));
            for (user, (role, name)) in members {
                position += 1;
                let event = next(position, *made, UserId::SERVICE, format!("labellab-member-{user}"));
                let EventKind::MemberAdded { user: added, role: given, name: named } = &event.kind else {
                    panic!("no member at {position}")
                };
                assert_eq!((added.as_str(), given.as_str()), (user.to_string().as_str(), role.as_str()));
                assert_eq!(named.as_ref().map(huddle_domain::Name::as_str), Some(name.as_str()));
            }
        }
        assert!(events.next().is_none(), "there are more events than there should be");

        let ids = |reason| reading.report.findings.get(&reason).map_or(&[][..], |finding| &finding.ids);
        assert_eq!(ids(Reason::BodyEmpty), left_out["body_empty"]);
        assert_eq!(ids(Reason::MessageTeam), left_out["message_team"]);
        assert_eq!(ids(Reason::MessageSender), left_out["message_sender"]);
        assert_eq!(ids(Reason::MemberRepeated), left_out["member_repeated"]);
        assert_eq!(ids(Reason::Entity), foreign_entities);
        assert!(!entities.is_empty() && !foreign_entities.is_empty());
        assert_eq!(ids(Reason::TeamOwnerAdded), owners_added);
        let total: usize = left_out.values().map(Vec::len).sum();
        assert_eq!(reading.report.left_out(), total as u64);
    }
}
