//! What is told once everything runs: addresses, tokens, and commands to paste.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use huddle_auth::{Minter, VerifierOptions};
use huddle_domain::UserId;
use serde_json::{Value, json};

use super::{
    DataDir,
    data_dir::Secrets,
    demo, own_program,
    ports::{Ports, local},
    services::{CONFIG, LOGS},
};

/// How long the printed tokens are valid: commands that were pasted once work for a while.
const TOKEN_TTL: Duration = Duration::from_hours(30 * 24);

/// A running stack, from outside.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) directory_url: String,
    program: PathBuf,
    url: String,
    http_url: String,
    history_url: String,
    nats_url: String,
    admin_urls: Vec<(&'static str, String)>,
    tokens: Vec<(&'static str, String)>,
    pids: Vec<(&'static str, u32)>,
    config: PathBuf,
    logs: PathBuf,
}

impl Ready {
    pub(super) fn new(
        data_dir: &DataDir,
        secrets: &Secrets,
        ports: &Ports,
        nats_url: String,
        pids: Vec<(&'static str, u32)>,
    ) -> Result<Self> {
        let options = VerifierOptions { secret: Some(secrets.user_secret.clone()), ..VerifierOptions::default() };
        let minter = Minter::new(options)?;
        let now = SystemTime::now();
        let token = |user: &'static str| {
            let token = minter.mint(&UserId::parse(user)?, None, TOKEN_TTL, now)?;
            anyhow::Ok((user, token))
        };
        let http = |port| format!("http://{}", local(port));
        Ok(Self {
            directory_url: http(ports.directory),
            program: own_program()?,
            url: format!("ws://{}/v1/ws", local(ports.gateway)),
            http_url: http(ports.gateway),
            history_url: http(ports.history),
            nats_url,
            admin_urls: vec![
                ("gateway", http(ports.gateway_admin)),
                ("history", http(ports.history_admin)),
                ("directory", http(ports.directory_admin)),
                ("persistence", http(ports.persistence_admin)),
            ],
            tokens: vec![token(demo::OWNER)?, token(demo::MEMBER)?],
            pids,
            config: data_dir.path(CONFIG),
            logs: data_dir.path(LOGS),
        })
    }

    /// One object for programs. Holds the users' tokens; the service token is in the configuration file that it names.
    pub(crate) fn json(&self) -> Value {
        fn object<T: Clone + Into<Value>>(entries: &[(&'static str, T)]) -> Value {
            entries
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        json!({
            "url": self.url,
            "http_url": self.http_url,
            "history_url": self.history_url,
            "directory_url": self.directory_url,
            "nats_url": self.nats_url,
            "admin_urls": object(&self.admin_urls),
            "team": demo::TEAM,
            "tokens": object(&self.tokens),
            "pids": object(&self.pids),
            "config": self.config,
            "logs": self.logs,
        })
    }

    /// The same for people.
    pub(crate) fn text(&self) -> String {
        let Self { url, tokens, .. } = self;
        let (team, program) = (demo::TEAM, quoted(&self.program));
        let [owner, member] = [demo::OWNER, demo::MEMBER];
        let token = |user| tokens.iter().find(|(name, _)| *name == user).map_or("", |(_, token)| token.as_str());
        let (owner_token, member_token) = (token(owner), token(member));
        let (logs, config) = (self.logs.display(), self.config.display());
        format!(
            "
Huddle is ready.

  URL    {url}
  Team   {team}, with {owner} (owner) and {member} (member)

Token of {owner}:
{owner_token}

Token of {member}:
{member_token}

In a second terminal, follow the team as {member}:

{program} tail --url {url} --team {team} --token {member_token}

In a third one, say something as {owner}:

{program} send --url {url} --team {team} --token {owner_token} \"hello, {member}\"

Logs: {logs}
Configuration of the services, with their secrets: {config}
Ctrl-C stops everything; the next start finds the data again.
"
        )
    }
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
}
