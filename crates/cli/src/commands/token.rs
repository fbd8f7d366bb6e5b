//! `huddle token`: makes a user's token for development, or tells how to use the service token.

use std::time::{Duration, SystemTime};

use huddle_auth::Minter;
use huddle_domain::UserId;
use huddle_service::config::duration;

use crate::{config::ConfigArgs, failure::Failure};

/// Make a development token for a user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signs with `auth.secret` of the configuration; in production the application that knows the users does this.

Examples:
  huddle token --user alice --config huddle-data/cluster/huddle.toml
  TOKEN=$(huddle token --user bob --name Bob --ttl 1h)
  huddle token --service")]
pub(crate) struct Args {
    /// The user's id: 1 to 64 characters of [A-Za-z0-9_-].
    #[arg(long, required_unless_present = "service")]
    user: Option<UserId>,
    /// The user's display name.
    #[arg(long)]
    name: Option<String>,
    /// How long the token is valid.
    #[arg(long, value_parser = duration::parse, default_value = "24h")]
    ttl: Duration,
    /// Tell how back ends use the service token.
    #[arg(long, conflicts_with_all = ["user", "name"])]
    service: bool,
}

const SERVICE_HELP: &str = "\
The service token is the setting `auth.service_token`, a random text of at least 32 bytes that the services and your back ends share.
It may do everything, so keep it out of arguments and logs: put it into a file and set `auth.service_token_file`.
Back ends send it with every gRPC call, as metadata:  authorization: Bearer <service token>
Make one with:  openssl rand -base64 48";

pub(crate) fn run(args: &Args, config: &ConfigArgs) -> Result<(), Failure> {
    if args.service {
        println!("{SERVICE_HELP}");
    } else if let Some(user) = &args.user {
        let config = config.load()?;
        let minter = Minter::new(config.auth.verifier_options()).map_err(Failure::usage)?;
        let token = minter.mint(user, args.name.as_deref(), args.ttl, SystemTime::now()).map_err(Failure::failed)?;
        println!("{token}");
    }
    Ok(())
}
