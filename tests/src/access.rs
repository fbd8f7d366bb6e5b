//! Owns how tests reach a deployment: addresses, tokens, typed clients, teams, and looks into its database.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{TryStreamExt as _, stream};
use huddle_auth::{Minter, VerifierOptions};
use huddle_client::{ClientOptions, Encoding};
use huddle_domain::UserId;
use huddle_proto::{
    directory::v1::{AddMemberRequest, CreateTeamRequest},
    event::v1::Role as MemberRole,
};
use serde::de::DeserializeOwned;

use crate::{
    DirectoryClient, HistoryClient, Samples, StoredEvent, grpc,
    service::{self, Service},
    sql::Database,
};

/// Signs users' tokens in every deployment.
pub const SECRET: &str = "the signing secret of the end-to-end tests";
/// The service token of every deployment.
pub const SERVICE_TOKEN: &str = "the-service-token-of-the-end-to-end-tests";

const TOKEN_TTL: Duration = Duration::from_hours(1);
/// Teams that are created at once.
const TEAMS_AT_ONCE: usize = 8;

/// A deployment from outside. Its addresses stay the same over restarts.
#[derive(Debug)]
pub struct Access {
    gateways: Vec<Addresses>,
    history_url: String,
    directory_url: String,
    database: Database,
    minter: Minter,
    files: PathBuf,
}

#[derive(Debug)]
struct Addresses {
    public: String,
    admin: String,
}

impl Access {
    pub(crate) fn new<'a>(
        gateways: impl IntoIterator<Item = &'a Service>,
        history_url: String,
        directory_url: String,
        database: Database,
        files: &Path,
    ) -> Result<Self> {
        let addresses = |gateway: &Service| Addresses { public: gateway.http_url(), admin: gateway.admin_url() };
        let minter = Minter::new(VerifierOptions { secret: Some(SECRET.to_owned()), ..VerifierOptions::default() })?;
        let gateways = gateways.into_iter().map(addresses).collect();
        Ok(Self { gateways, history_url, directory_url, database, minter, files: files.to_owned() })
    }

    /// Where tests may put files of their own; goes with the deployment.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// How many gateways there are.
    pub fn gateway_count(&self) -> usize {
        self.gateways.len()
    }

    /// `http://host:port` of a gateway's REST interface.
    pub fn http_url(&self, gateway: usize) -> String {
        self.gateway(gateway).public.clone()
    }

    /// A gateway's WebSocket endpoint.
    pub fn ws_url(&self, gateway: usize) -> String {
        service::ws_url(&self.gateway(gateway).public)
    }

    /// `http://host:port` of the history service.
    pub fn history_url(&self) -> &str {
        &self.history_url
    }

    /// `http://host:port` of the directory service.
    pub fn directory_url(&self) -> &str {
        &self.directory_url
    }

    /// The metrics now of the process that a gateway is.
    pub async fn gateway_metrics(&self, gateway: usize) -> Result<Samples> {
        service::metrics(&self.gateway(gateway).admin).await
    }

    /// The sum of a counter over all gateways, which all run.
    pub async fn gateways_total(&self, metric: &str) -> Result<f64> {
        let mut total = 0.0;
        for gateway in &self.gateways {
            total +=
                service::metrics(&gateway.admin).await?.sum(metric).with_context(|| format!("no metric {metric}"))?;
        }
        Ok(total)
    }

    /// A token of `user`, valid for an hour.
    pub fn token(&self, user: &str) -> Result<String> {
        Ok(self.minter.mint(&UserId::parse(user)?, None, TOKEN_TTL, SystemTime::now())?)
    }

    /// What the Rust client needs to connect `user` to a gateway.
    pub fn client_options(&self, gateway: usize, user: &str, encoding: Encoding) -> Result<ClientOptions> {
        Ok(ClientOptions::new(self.ws_url(gateway), self.token(user)?).with_encoding(encoding))
    }

    /// History on behalf of `token`, a user's or [`SERVICE_TOKEN`].
    pub fn history_client(&self, token: &str) -> Result<HistoryClient> {
        grpc::history(&self.history_url, token)
    }

    /// The directory on behalf of `token`, a user's or [`SERVICE_TOKEN`].
    pub fn directory_client(&self, token: &str) -> Result<DirectoryClient> {
        grpc::directory(&self.directory_url, token)
    }

    /// Creates a team. The first of `members` owns it.
    pub async fn create_team(&self, team: &str, members: &[&str]) -> Result<()> {
        let mut directory = self.directory_client(SERVICE_TOKEN)?;
        let (owner, others) = members.split_first().context("a team has an owner")?;
        let create = CreateTeamRequest {
            team: team.to_owned(),
            name: team.to_owned(),
            owner: (*owner).to_owned(),
            client_id: String::new(),
        };
        directory.create_team(create).await.with_context(|| format!("create team {team}"))?;
        for user in others {
            let add = AddMemberRequest {
                team: team.to_owned(),
                user: (*user).to_owned(),
                role: MemberRole::Member.into(),
                name: String::new(),
                client_id: String::new(),
            };
            directory.add_member(add).await.with_context(|| format!("add {user} to {team}"))?;
        }
        Ok(())
    }

    /// Creates many teams, some at once: each with its members.
    pub async fn create_teams(&self, teams: &BTreeMap<String, Vec<String>>) -> Result<()> {
        stream::iter(teams.iter().map(Ok))
            .try_for_each_concurrent(TEAMS_AT_ONCE, async |(team, members)| {
                let members: Vec<_> = members.iter().map(String::as_str).collect();
                self.create_team(team, &members).await
            })
            .await
    }

    /// The rows of an SQL query; a column's name is a field's.
    pub async fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        self.database.rows(query).await
    }

    /// All events of `team` that are stored, in order.
    pub async fn stored_events(&self, team: &str) -> Result<Vec<StoredEvent>> {
        let stored = self.database.is_stored();
        let query = format!(
            "SELECT seq, sender_id AS sender, client_id, kind, body FROM events \
             WHERE team_id = '{team}' AND {stored} ORDER BY seq"
        );
        self.rows(&query).await
    }

    /// How many messages are stored, of all teams.
    pub async fn stored_messages(&self) -> Result<usize> {
        #[derive(serde::Deserialize)]
        struct Count {
            count: usize,
        }
        let stored = self.database.is_stored();
        let query = format!("SELECT count(*) AS count FROM events WHERE kind = 'posted' AND {stored}");
        let counts: Vec<Count> = self.rows(&query).await?;
        Ok(counts.first().context("no count")?.count)
    }

    /// Checks that nothing in the log could not be applied.
    pub(crate) async fn ensure_no_dead_letters(&self) -> Result<()> {
        let dead_letters: Vec<serde_json::Value> = self.rows("SELECT partition, seq, reason FROM dead_letters").await?;
        ensure!(dead_letters.is_empty(), "there are dead letters: {dead_letters:?}");
        Ok(())
    }

    /// The only gateway stands for all.
    fn gateway(&self, index: usize) -> &Addresses {
        if let [only] = &self.gateways[..] { only } else { &self.gateways[index] }
    }
}
