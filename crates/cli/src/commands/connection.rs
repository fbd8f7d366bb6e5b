//! The arguments of commands that connect to a gateway as a user.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use huddle_client::ClientOptions;

use crate::failure::Failure;

/// Where to connect, as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// The gateway's WebSocket endpoint.
    #[arg(long, env = "HUDDLE_URL", default_value = "ws://127.0.0.1:8080/v1/ws")]
    url: String,
    /// The user's token. On a shared machine prefer the environment or --token-file: other users can see arguments.
    #[arg(long, env = "HUDDLE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file that holds the user's token; wins over --token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The options for the client library.
    pub(crate) fn options(self) -> Result<ClientOptions, Failure> {
        let token = match (self.token_file, self.token) {
            (Some(file), _) => fs::read_to_string(&file)
                .with_context(|| format!("cannot read the token from {}", file.display()))
                .map_err(Failure::usage)?
                .trim()
                .to_owned(),
            (None, Some(token)) => token,
            (None, None) => {
                return Err(Failure::usage(anyhow!(
                    "no token: give --token, --token-file or HUDDLE_TOKEN (`huddle token` makes one for development)"
                )));
            }
        };
        Ok(ClientOptions::new(self.url, token))
    }
}
