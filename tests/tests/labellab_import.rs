//! LabelLab's database, imported with the `huddle` program and read back through the services.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::{MariaDb, Process, Tools};
use huddle_proto::{
    directory::v1::{GetTeamRequest, ListMembersRequest, ListUserTeamsRequest},
    history::v1::{ListMessagesRequest, Message, Order, list_messages_request::Position},
};
use huddle_tests::{Access, SERVICE_TOKEN, Single, SingleOptions, http, huddle};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

const IMPORT_TIMEOUT: Duration = Duration::from_mins(2);
const PAGE: u32 = 500;

/// What Huddle must make of the data, according to the script that made it.
#[derive(Debug, Deserialize)]
struct Expected {
    teams: Vec<Team>,
    left_out: BTreeMap<String, Vec<i64>>,
    highest: u64,
}

#[derive(Debug, Deserialize)]
struct Team {
    id: u64,
    name: String,
    /// Id, sender, milliseconds, body.
    messages: Vec<(u64, u64, i64, String)>,
    /// Role and name by user.
    members: BTreeMap<u64, (String, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn labellabs_chat_goes_on_in_huddle_with_ids_times_senders_and_roles_as_they_were() -> Result<()> {
    let tools = Tools::locate()?;
    let files = tempfile::tempdir()?;
    let expected = make_data(&tools, files.path())?;
    let mariadb = MariaDb::start(&tools).await?;
    mariadb.execute("mysql", "CREATE DATABASE labellab CHARACTER SET utf8mb4").await?;
    mariadb.execute("labellab", &fs::read_to_string(files.path().join("mysql.sql"))?).await?;
    let (url, data_dir) = (mariadb.url_of("labellab"), files.path().join("data"));
    let import = |name: &str| spawn_import(name, &url, &data_dir, files.path());

    // Killed somewhere, done again, and once more than needed.
    let mut killed = import("killed")?;
    killed.wait_for_output("\"step\":\"imported\",\"team\"", IMPORT_TIMEOUT).await?;
    killed.kill9()?;
    let (report, outcome) = finished(import("finished")?).await?;
    assert!(outcome["present"].as_u64() > Some(0), "nothing was stored before the kill: {outcome}");
    let messages: usize = expected.teams.iter().map(|team| team.messages.len()).sum();
    let members: usize = expected.teams.iter().map(|team| team.members.len()).sum();
    assert_eq!([&report["messages"], &report["members"]], [messages, members]);
    for (reason, ids) in &expected.left_out {
        assert_eq!(report["findings"][reason], json!({ "count": ids.len(), "ids": ids }), "{reason}");
    }
    assert_eq!(outcome["events"], messages + members + expected.teams.len());
    let (_, again) = finished(import("again")?).await?;
    assert_eq!(
        [&again["events"], &again["present"], &again["stored"]],
        [&outcome["events"], &outcome["events"], &json!(0)]
    );

    let huddle = Single::start(SingleOptions { data_dir: Some(data_dir), ..SingleOptions::default() }).await?;
    for team in &expected.teams {
        assert_is_there(&huddle, team).await?;
    }
    assert_members_only(&huddle, &expected).await?;
    assert_chat_goes_on(&huddle, &expected).await?;
    huddle.finish().await
}

/// Lets the script make LabelLab's data in `files`.
fn make_data(tools: &Tools, files: &Path) -> Result<Expected> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/labellab_database.py");
    let status = Command::new(tools.python()?).arg(script).arg(files).arg("--whole-seconds").status()?;
    ensure!(status.success(), "the script failed");
    Ok(serde_json::from_slice(&fs::read(files.join("expected.json"))?)?)
}

fn spawn_import(name: &str, url: &str, data_dir: &Path, files: &Path) -> Result<Process> {
    let mut command = huddle()?;
    command.args(["import", "--json", "--from-labellab", url, "--data-dir"]).arg(data_dir).current_dir("/");
    Process::spawn(name, command, &files.join(format!("{name}.log")))
}

/// The report of what LabelLab has, and the outcome.
async fn finished(mut import: Process) -> Result<(Value, Value)> {
    let status = import.wait(IMPORT_TIMEOUT).await?;
    let output = import.output()?;
    ensure!(status.success(), "the import ends with {status}: {output}");
    let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let report = lines.iter().find(|line| line["step"] == "labellab").context("no report")?["report"].clone();
    Ok((report, lines.last().context("no outcome")?.clone()))
}

/// Compares a team's messages, name and members with what they were.
async fn assert_is_there(huddle: &Access, team: &Team) -> Result<()> {
    let id = team.id.to_string();
    let messages = all_messages(huddle, &id).await?;
    assert_eq!(messages.len(), team.messages.len(), "messages of team {id}");
    for (message, (seq, user, millis, body)) in messages.iter().zip(&team.messages) {
        let found = (message.seq, message.sender.as_str(), message.time_ms, message.body.as_str());
        assert_eq!(found, (*seq, user.to_string().as_str(), *millis, body.as_str()), "team {id}");
        assert_eq!(message.client_id, format!("labellab-message-{seq}"));
    }
    let mut directory = huddle.directory_client(SERVICE_TOKEN)?;
    let found = directory.get_team(GetTeamRequest { team: id.clone() }).await?.into_inner();
    let found = found.team.context("no team")?;
    assert_eq!((found.name.as_str(), found.archived), (team.name.as_str(), false));
    let all = ListMembersRequest { team: id, after_user: String::new(), limit: PAGE };
    let members = directory.list_members(all).await?.into_inner().members;
    let members = members.into_iter().map(|member| {
        let role = member.role().as_str_name().trim_start_matches("ROLE_").to_lowercase();
        Ok((member.user.parse()?, (role, member.name)))
    });
    assert_eq!(members.collect::<Result<BTreeMap<u64, _>>>()?, team.members, "members of team {}", team.id);
    Ok(())
}

async fn all_messages(huddle: &Access, team: &str) -> Result<Vec<Message>> {
    let mut history = huddle.history_client(SERVICE_TOKEN)?;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let request = ListMessagesRequest {
            team: team.to_owned(),
            position: messages.last().map(|message| Position::After(message.seq)),
            limit: PAGE,
            order: Order::OldestFirst.into(),
            min_seq: 0,
        };
        let page = history.list_messages(request).await?.into_inner();
        messages.extend(page.messages);
        if !page.has_newer {
            return Ok(messages);
        }
    }
}

/// A user reads the teams that they are a member of, and no other: those neither that they have sent messages to.
async fn assert_members_only(huddle: &Access, expected: &Expected) -> Result<()> {
    let mut left = 0;
    for user in [1_u64, 2, 8, 60] {
        let token = huddle.token(&user.to_string())?;
        let mut history = huddle.history_client(&token)?;
        for team in &expected.teams {
            let request = ListMessagesRequest { team: team.id.to_string(), limit: 1, ..ListMessagesRequest::default() };
            match (history.list_messages(request).await, team.members.contains_key(&user)) {
                (Ok(_), true) => {}
                (Err(status), false) if status.code() == Code::NotFound => {
                    left += usize::from(team.messages.iter().any(|(_, sender, ..)| *sender == user));
                }
                (answer, is_member) => panic!("user {user}, team {}, member {is_member}: {answer:?}", team.id),
            }
        }
        let all = ListUserTeamsRequest { user: user.to_string(), after_team: String::new(), limit: 100 };
        let teams = huddle.directory_client(&token)?.list_user_teams(all).await?.into_inner().teams;
        let teams: BTreeSet<String> = teams.into_iter().filter_map(|it| Some(it.team?.team)).collect();
        let member_of = expected.teams.iter().filter(|team| team.members.contains_key(&user));
        assert_eq!(teams, member_of.map(|team| team.id.to_string()).collect(), "teams of user {user}");
    }
    ensure!(left > 0, "nobody of these has left a team that they had sent messages to");
    Ok(())
}

/// A member sends, and gets a position above everything that came from LabelLab.
async fn assert_chat_goes_on(huddle: &Access, expected: &Expected) -> Result<()> {
    let team = expected.teams.first().context("no team")?;
    let owner = team.members.iter().find(|(_, (role, _))| role == "owner").context("no owner")?.0;
    let url = format!("{}/v1/teams/{}/messages", huddle.http_url(0), team.id);
    let body = json!({ "body": "we have moved", "client_id": "moved" });
    let answer = http::post(&url, Some(&huddle.token(&owner.to_string())?), &body.to_string()).await?;
    ensure!(answer.status < 300, "{} {}", answer.status, answer.body);
    huddle_tests::until("the new message is in the history", Duration::from_secs(10), async || {
        let messages = all_messages(huddle, &team.id.to_string()).await?;
        Ok(messages.last().filter(|last| last.body == "we have moved" && last.seq > expected.highest).map(drop))
    })
    .await
}
