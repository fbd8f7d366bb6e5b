//! What is told once everything runs: addresses, tokens, and commands to paste.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use huddle_auth::{Minter, VerifierOptions};
use huddle_domain::UserId;
use serde_json::{Map, Value, json};

use super::{
    demo::{self, DemoTeam},
    own_program,
};

/// How long the printed tokens are valid: commands that were pasted once work for a while.
const TOKEN_TTL: Duration = Duration::from_hours(30 * 24);

/// Where the services listen.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) history: SocketAddr,
    pub(super) directory: SocketAddr,
    /// Where each service answers for its health.
    pub(super) admin: [(&'static str, SocketAddr); 4],
}

/// What of it stays, and where.
#[derive(Debug)]
pub(super) enum Kept {
    /// Of the cluster stack: data, logs and the services' configuration.
    Cluster { data_dir: PathBuf, nats_url: String, config: PathBuf, logs: PathBuf },
    /// Of one process: the directory of its file.
    File { data_dir: PathBuf },
    /// Nothing.
    Nothing,
}

/// All of Huddle as it runs, from outside.
#[derive(Debug)]
pub(crate) struct Ready {
    program: PathBuf,
    addresses: Addresses,
    /// Of the demo team's owner and other member; nothing where there is no such team.
    tokens: Option<[(&'static str, String); 2]>,
    pids: Vec<(&'static str, u32)>,
    kept: Kept,
}

impl Ready {
    /// Makes tokens for the members of the demo team, of the kind that `auth` accepts.
    pub(super) fn new(
        addresses: Addresses,
        auth: VerifierOptions,
        team: DemoTeam,
        pids: Vec<(&'static str, u32)>,
        kept: Kept,
    ) -> Result<Self> {
        let minter = Minter::new(auth)?;
        let now = SystemTime::now();
        let token = |user: &'static str| {
            let token = minter.mint(&UserId::parse(user)?, None, TOKEN_TTL, now)?;
            anyhow::Ok((user, token))
        };
        let tokens = match team {
            DemoTeam::SignIn | DemoTeam::Told => Some([token(demo::OWNER)?, token(demo::MEMBER)?]),
            DemoTeam::None => None,
        };
        Ok(Self { program: own_program()?, addresses, tokens, pids, kept })
    }

    /// One object for programs. Holds the users' tokens; a cluster's service token is in the configuration file that it
    /// names.
    pub(crate) fn json(&self) -> Value {
        let Addresses { gateway, history, directory, admin } = self.addresses;
        let admin: Map<_, _> =
            admin.iter().map(|(service, address)| ((*service).to_owned(), http(*address).into())).collect();
        let tokens: Map<_, _> =
            self.tokens.iter().flatten().map(|(user, token)| ((*user).to_owned(), token.as_str().into())).collect();
        let pids: Map<_, _> = self.pids.iter().map(|(process, pid)| ((*process).to_owned(), (*pid).into())).collect();
        let mut told = json!({
            "url": websocket(gateway),
            "http_url": http(gateway),
            "history_url": http(history),
            "directory_url": http(directory),
            "admin_urls": admin,
            "team": self.tokens.as_ref().map(|_| demo::TEAM),
            "tokens": tokens,
            "pids": pids,
        });
        let more = match &self.kept {
            Kept::Cluster { data_dir, nats_url, config, logs } => json!({
                "mode": "cluster",
                "data_dir": data_dir,
                "nats_url": nats_url,
                "config": config,
                "logs": logs,
            }),
            Kept::File { data_dir } => json!({ "mode": "embedded", "data_dir": data_dir }),
            Kept::Nothing => json!({ "mode": "memory", "data_dir": null }),
        };
        if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
            told.extend(more);
        }
        told
    }

    /// The same for people.
    pub(crate) fn text(&self) -> String {
        let url = websocket(self.addresses.gateway);
        let program = quoted(&self.program);
        let (page, end) = match &self.kept {
            Kept::Cluster { config, logs, .. } => (
                String::new(),
                format!(
                    "Logs: {}\nConfiguration of the services, with their secrets: {}\n{AGAIN}",
                    logs.display(),
                    config.display()
                ),
            ),
            Kept::File { data_dir } => (self.page(), format!("Data: {}\n{AGAIN}", data_dir.display())),
            Kept::Nothing => (self.page(), "Ctrl-C stops everything, and nothing is kept.".to_owned()),
        };
        let Some([(owner, owner_token), (member, member_token)]) = &self.tokens else {
            return format!("\nHuddle is ready.\n\n{page}  URL    {url}\n\n{end}\n");
        };
        let team = demo::TEAM;
        format!(
            "
Huddle is ready.

{page}  URL    {url}
  Team   {team}, with {owner} (owner) and {member} (member)

Token of {owner}:
{owner_token}

Token of {member}:
{member_token}

In a second terminal, follow the team as {member}:

{program} tail --url {url} --team {team} --token {member_token}

In a third one, say something as {owner}:

{program} send --url {url} --team {team} --token {owner_token} \"hello, {member}\"

{end}
"
        )
    }

    fn page(&self) -> String {
        format!("  Page   {}/\n", http(self.addresses.gateway))
    }
}

const AGAIN: &str = "Ctrl-C stops everything; the next start finds the data again.";

fn http(address: SocketAddr) -> String {
    format!("http://{}", reachable(address))
}

fn websocket(address: SocketAddr) -> String {
    format!("ws://{}/v1/ws", reachable(address))
}

/// An address at which this machine reaches what listens at `address`: "any address" is none to connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// `path` as one word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_whatever_the_path() {
        assert_eq!(quoted(Path::new("/a/b-c_1.0/huddle")), "/a/b-c_1.0/huddle");
        assert_eq!(quoted(Path::new("/my files/it's")), r"'/my files/it'\''s'");
    }

    #[test]
    fn an_address_that_is_told_can_be_connected_to() {
        assert_eq!(http("0.0.0.0:8080".parse().unwrap()), "http://127.0.0.1:8080");
        assert_eq!(websocket("[::]:8080".parse().unwrap()), "ws://[::1]:8080/v1/ws");
        assert_eq!(http("192.0.2.7:80".parse().unwrap()), "http://192.0.2.7:80");
    }
}
