//! LabelLab's own clients: what they did with LabelLab they do with Huddle, and what was broken there is not here.

mod history;
mod legacy;
mod members;
mod namespaces;
mod origins;
mod outage;
mod refusals;
mod sends;
mod talk;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use huddle_proto::directory::v1::{AddMemberRequest, CreateTeamRequest, RemoveMemberRequest};
use huddle_tests::{
    Backend, Deployment, DeploymentOptions, RoundRobin, SECRET, SERVICE_TOKEN, Transport, forged,
    http::{self, Answer},
    socketio::{Console, Opening, Socket},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Users' ids and names.
const ANNA: u64 = 7;
const BERT: u64 = 8;
const CARL: u64 = 9;
const DORA: u64 = 10;
const NAMES: [(u64, &str); 4] = [(ANNA, "anna"), (BERT, "bert"), (CARL, "carl"), (DORA, "dora <3")];
const OWNER: &str = "1";
/// Of Anna, Bert and Dora.
const TEAM: u64 = 3;
/// Of Carl and Anna.
const OTHER_TEAM: u64 = 4;
const TEAMS: [(u64, &[u64]); 2] = [(TEAM, &[ANNA, BERT, DORA]), (OTHER_TEAM, &[CARL, ANNA])];
/// The `jti` of tokens that are revoked.
const REVOKED: &str = "de305d54-75b4-431b-adb2-eb6b9e546014";

/// A deployment that takes LabelLab's tokens, with LabelLab's teams.
struct LabelLab {
    deployment: Deployment,
    proxy: RoundRobin,
    console: Console,
    /// Holds the list of revoked tokens.
    files: TempDir,
}

impl LabelLab {
    async fn start(backend: Backend) -> Result<Self> {
        Self::start_with(backend, &[]).await
    }

    /// As [`LabelLab::start`], with further settings.
    async fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Result<Self> {
        let files = tempfile::tempdir()?;
        write_revoked(files.path(), &[REVOKED])?;
        let revoked = revoked_file(files.path()).display().to_string();
        let own = [("auth.user_claim", "identity"), ("auth.leeway", "0s"), ("auth.revoked_file", &revoked)];
        let settings = own.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = settings.collect();
        let options = DeploymentOptions { settings, ..DeploymentOptions::default() };
        let deployment = Box::pin(Deployment::start(backend, options)).await?;
        let mut gateways = vec![deployment.http_url(0), deployment.http_url(1)];
        gateways.dedup();
        let proxy = RoundRobin::start(&gateways).await?;
        let labellab = Self { deployment, proxy, console: Console::start()?, files };
        for (team, members) in TEAMS {
            labellab.create_team(team, members).await?;
        }
        Ok(labellab)
    }

    async fn create_team(&self, team: u64, members: &[u64]) -> Result<()> {
        let mut directory = self.deployment.directory_client(SERVICE_TOKEN)?;
        let create = CreateTeamRequest {
            team: team.to_string(),
            name: format!("team {team}"),
            owner: OWNER.to_owned(),
            ..CreateTeamRequest::default()
        };
        directory.create_team(create).await?;
        for member in members {
            self.add_member(team, *member).await?;
        }
        Ok(())
    }

    async fn add_member(&self, team: u64, user: u64) -> Result<()> {
        let add = AddMemberRequest {
            team: team.to_string(),
            user: user.to_string(),
            name: name_of(user)?.to_owned(),
            ..AddMemberRequest::default()
        };
        self.deployment.directory_client(SERVICE_TOKEN)?.add_member(add).await?;
        Ok(())
    }

    async fn remove_member(&self, team: u64, user: u64) -> Result<()> {
        let remove =
            RemoveMemberRequest { team: team.to_string(), user: user.to_string(), ..RemoveMemberRequest::default() };
        self.deployment.directory_client(SERVICE_TOKEN)?.remove_member(remove).await?;
        Ok(())
    }

    /// The web client of a user, connected.
    async fn web(&self, user: u64) -> Result<App> {
        self.app(user, App::web_opening(&token(user)?)).await
    }

    /// The mobile client of a user, connected.
    async fn mobile(&self, user: u64) -> Result<App> {
        self.app(user, App::mobile_opening(&token(user)?)).await
    }

    async fn app(&self, user: u64, opening: Opening) -> Result<App> {
        let ids = if opening.version == 2 { Ids::Texts } else { Ids::Numbers };
        let mut socket = self.open(opening).await?;
        socket.connected().await?;
        Ok(App { user, ids, socket })
    }

    /// A socket, connected or not.
    async fn open(&self, opening: Opening) -> Result<Socket> {
        self.open_in("/", opening).await
    }

    /// As [`LabelLab::open`], in a namespace.
    async fn open_in(&self, namespace: &str, opening: Opening) -> Result<Socket> {
        self.console.open(&format!("{}{namespace}", self.proxy.http_url()), opening).await
    }

    /// Revokes a token, besides the one that is revoked already. The services learn of it in their own time.
    fn revoke(&self, jti: &str) -> Result<()> {
        write_revoked(self.files.path(), &[REVOKED, jti])
    }

    /// `GET /api/v1/<path>`.
    async fn get(&self, path: &str, token: Option<&str>) -> Result<Answer> {
        http::get(&format!("{}/api/v1/{path}", self.proxy.http_url()), token).await
    }

    /// A team's whole history as a user loads it, once it is stored.
    async fn history(&mut self, user: u64, team: u64) -> Result<Vec<Value>> {
        self.deployment.wait_until_stored().await?;
        let answer = self.get(&format!("chatroom/{team}"), Some(&token(user)?)).await?;
        let body = answer.json()?;
        anyhow::ensure!(answer.status == 200 && body["success"] == true, "{}: {body}", answer.status);
        Ok(body["body"].as_array().with_context(|| format!("no messages: {body}"))?.clone())
    }

    /// The bodies of a team's messages as the store has them.
    async fn stored_bodies(&mut self, team: u64) -> Result<Vec<String>> {
        self.deployment.wait_until_stored().await?;
        let events = self.deployment.stored_events(&team.to_string()).await?;
        Ok(events.into_iter().filter_map(|event| event.body).collect())
    }

    async fn finish(self) -> Result<()> {
        self.deployment.finish().await
    }
}

fn revoked_file(folder: &Path) -> PathBuf {
    folder.join("revoked")
}

/// In one step, as administrators are told to.
fn write_revoked(folder: &Path, ids: &[&str]) -> Result<()> {
    let beside = folder.join("revoked.new");
    fs::write(&beside, format!("{}\n", ids.join("\n")))?;
    Ok(fs::rename(beside, revoked_file(folder))?)
}

fn name_of(user: u64) -> Result<&'static str> {
    let named = NAMES.iter().find(|(id, _)| *id == user);
    Ok(named.with_context(|| format!("{user} has no name"))?.1)
}

/// A token as flask_jwt_extended makes it, valid for an hour.
fn token(user: u64) -> Result<String> {
    token_with(user, "5f7d8c4e-0c1b-4a6f-9d2e-3b8a7c6d5e4f", 3_600)
}

/// A token with the id `jti`, which ends in so many seconds.
fn token_with(user: u64, jti: &str, ends_in: i64) -> Result<String> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let claims = json!({
        "iat": now - 3_600, "nbf": now - 3_600, "jti": jti, "exp": now + ends_in, "identity": user, "fresh": false,
        "type": "access", "user_claims": {},
    });
    forged::token(&json!({ "typ": "JWT", "alg": "HS256" }), &claims, SECRET)
}

/// How a client writes ids.
#[derive(Debug, Clone, Copy)]
enum Ids {
    Numbers,
    Texts,
}

impl Ids {
    fn write(self, id: u64) -> Value {
        match self {
            Self::Numbers => json!(id),
            Self::Texts => json!(id.to_string()),
        }
    }
}

/// One of LabelLab's clients at work.
struct App {
    user: u64,
    ids: Ids,
    socket: Socket,
}

impl App {
    /// React, `socket.io-client` 4, polling alone. The payload `auth` is the line that changed.
    fn web_opening(token: &str) -> Opening {
        Opening { version: 4, transport: Transport::Polling, options: json!({ "auth": { "token": token } }) }
    }

    /// Flutter, Engine.IO 3, a WebSocket alone. The query is the line that changed.
    fn mobile_opening(token: &str) -> Opening {
        Opening { version: 2, transport: Transport::WebSocket, options: json!({ "query": { "token": token } }) }
    }

    /// A message as this client writes it.
    fn message(&self, team: u64, body: &str) -> Value {
        let mut message =
            json!({ "body": body, "team_id": self.ids.write(team), "user_id": self.ids.write(self.user) });
        if matches!(self.ids, Ids::Numbers) {
            message["entity_type"] = json!("");
            message["entity_id"] = json!(null);
            message["tagged_users"] = json!([]);
        }
        message
    }

    async fn send(&self, team: u64, body: &str) -> Result<()> {
        self.socket.emit("send_message", &self.message(team, body)).await
    }

    /// As [`App::send`], with mentions: the web client alone has them.
    async fn send_tagging(&self, team: u64, body: &str, tagged: &[u64]) -> Result<()> {
        let mut message = self.message(team, body);
        message["tagged_users"] = json!(tagged);
        self.socket.emit("send_message", &message).await
    }

    /// The next message that comes.
    async fn hears(&mut self) -> Result<Value> {
        self.socket.next("receive_message").await
    }

    /// The body of the next message that comes.
    async fn hears_body(&mut self) -> Result<String> {
        let message = self.hears().await?;
        Ok(message["body"].as_str().with_context(|| format!("no body: {message}"))?.to_owned())
    }
}
