//! A large export, written by the letter of its description and not by Huddle.

use std::{fs, path::Path};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) const TEAMS: usize = 50;
const MESSAGES_OF_A_TEAM: usize = 2_000;
/// The creation, and two members beside the owner.
const OTHERS_OF_A_TEAM: usize = 3;
const EVENTS_OF_A_TEAM: usize = OTHERS_OF_A_TEAM + MESSAGES_OF_A_TEAM;
pub(crate) const EVENTS: usize = TEAMS * EVENTS_OF_A_TEAM;

/// The teams that clients read and write, by their index.
pub(crate) const TEAMS_UNDER_TEST: [usize; 3] = [0, 23, TEAMS - 1];

/// A line with an event: the keys stand in this order.
#[derive(Default, Serialize)]
struct EventLine {
    team: String,
    seq: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_seq: Option<String>,
    time_ms: String,
    sender: &'static str,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    posted: Option<Posted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_created: Option<TeamCreated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_added: Option<MemberAdded>,
}

#[derive(Serialize)]
struct Posted {
    body: String,
}

#[derive(Serialize)]
struct TeamCreated {
    name: String,
    owner: &'static str,
}

#[derive(Serialize)]
struct MemberAdded {
    user: &'static str,
    role: &'static str,
    name: &'static str,
}

/// The id of a team.
pub(crate) fn team(index: usize) -> String {
    format!("team-{index:02}")
}

/// Writes the export to `file`.
pub(crate) fn write(file: &Path) -> Result<()> {
    let (teams, events) = (TEAMS.to_string(), EVENTS.to_string());
    let mut lines = vec![
        json!({ "huddle_export": {
            "version": 1, "created_ms": "0", "program": "a test", "selection": null, "teams": teams, "events": events,
        }})
        .to_string(),
    ];
    let last_seq = |index| seq(index, EVENTS_OF_A_TEAM - 1).to_string();
    lines.extend((0..TEAMS).map(|index| {
        let events = EVENTS_OF_A_TEAM.to_string();
        json!({ "plan": { "team": team(index), "last_seq": last_seq(index), "events": events } }).to_string()
    }));
    for team_index in 0..TEAMS {
        let mut sha256 = Sha256::new();
        for index in 0..EVENTS_OF_A_TEAM {
            let line = serde_json::to_string(&event(team_index, index))?;
            sha256.update(format!("{line}\n"));
            lines.push(line);
        }
        let sha256 = sha256.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let end = json!({ "team_end": {
            "team": team(team_index), "events": EVENTS_OF_A_TEAM.to_string(), "last_seq": last_seq(team_index),
            "sha256": sha256,
        }});
        lines.push(end.to_string());
    }
    lines.push(json!({ "end": { "teams": teams, "events": events } }).to_string());
    Ok(fs::write(file, lines.join("\n") + "\n")?)
}

/// The position of a team's `index`-th event: the teams are mixed, as in an instance.
fn seq(team_index: usize, index: usize) -> usize {
    index * TEAMS + team_index + 1
}

fn event(team_index: usize, index: usize) -> EventLine {
    let seq = seq(team_index, index);
    let name = team(team_index);
    let member = |user, name| Some(MemberAdded { user, role: "ROLE_MEMBER", name });
    let line = EventLine {
        seq: seq.to_string(),
        prev_seq: (index > 0).then(|| (seq - TEAMS).to_string()),
        time_ms: (1_700_000_000_000 + seq).to_string(),
        sender: "ann",
        client_id: format!("c{seq}"),
        ..EventLine::default()
    };
    match index {
        0 => EventLine {
            team_created: Some(TeamCreated { name: format!("The {name}"), owner: "owner" }),
            team: name,
            ..line
        },
        1 => EventLine { team: name, member_added: member("ann", "Ann"), ..line },
        2 => EventLine { team: name, member_added: member("bob", "Bob \"B\" Böhm"), ..line },
        _ => {
            let body = format!("{index} in {name}: zwölf Boxkämpfer 🥊 jagen \"Viktor\"\n\tquer \\ über");
            EventLine { team: name, posted: Some(Posted { body }), ..line }
        }
    }
}
