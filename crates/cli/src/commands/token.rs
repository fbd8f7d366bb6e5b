//! `huddle token`: makes a user's token for development, or tells how to use the service token.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use huddle_auth::{MintError, Minter};
use huddle_domain::{UnixMillis, UserId};
use huddle_service::config::{Secret, duration};
use serde::Serialize;

use crate::{
    config::{AuthConfig, ConfigArgs},
    failure::Failure,
    stack::single::Place,
};

/// Make a development token for a user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signs with `auth.secret` of the configuration, or else with the secret that `huddle up` keeps in its data directory; in
production the application that knows the users does this. Each token has an id of its own (`jti`): a line with that id
in the file `auth.revoked_file` revokes it.

Examples:
  huddle token --user carol --data-dir huddle-data
  huddle token --user alice --config huddle-data/cluster/huddle.toml
  TOKEN=$(huddle token --user bob --name Bob --ttl 1h)
  huddle token --user bob --json
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
    /// The data directory of `huddle up`, whose secret to sign with when `auth.secret` is not set.
    #[arg(long, value_name = "DIR", conflicts_with = "service")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object with the token, its id, its user and its end instead of the token alone.
    #[arg(long, conflicts_with = "service")]
    json: bool,
    /// Tell how back ends use the service token.
    #[arg(long, conflicts_with_all = ["user", "name"])]
    service: bool,
}

/// A token, and what there is to know of it.
#[derive(Debug, Serialize)]
struct Minted {
    token: String,
    jti: String,
    user: String,
    /// Milliseconds since 1970.
    expires_time_ms: i64,
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
        let mut auth = config.load()?.auth;
        if let (None, Some(directory)) = (&auth.secret, &args.data_dir) {
            auth.secret = Some(Secret::new(Place::secret_in(directory)?));
        }
        let minted = mint(user, args, &auth, SystemTime::now())?;
        if args.json {
            println!("{}", serde_json::to_string(&minted).map_err(Failure::failed)?);
        } else {
            println!("{}", minted.token);
        }
    }
    Ok(())
}

fn mint(user: &UserId, args: &Args, auth: &AuthConfig, now: SystemTime) -> Result<Minted, Failure> {
    let minter = Minter::new(auth.verifier_options()).map_err(Failure::usage)?;
    // As many random bits as make an id unique, written as ids of tokens mostly are.
    let jti = format!("{:032x}", rand::random::<u128>());
    let token = minter.mint_revocable(&jti, user, args.name.as_deref(), args.ttl, now).map_err(Failure::failed)?;
    // A token's times are whole seconds.
    let end = now.checked_add(args.ttl).ok_or_else(|| Failure::failed(MintError::Time))?;
    let expires_time_ms = UnixMillis::from(end).0 / 1000 * 1000;
    Ok(Minted { token, jti, user: user.to_string(), expires_time_ms })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::Parser;
    use huddle_auth::{Revocations, TokenError, Verifier};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    #[test]
    fn a_minted_token_is_what_the_services_accept() {
        let auth = AuthConfig {
            secret: Some(Secret::new("a secret of more than thirty-two bytes".to_owned())),
            issuer: Some("huddle-tests".to_owned()),
            audience: Some("chat".to_owned()),
            ..AuthConfig::default()
        };
        let args = parsed("token --user alice --name Alice --ttl 2h").unwrap();
        let now = SystemTime::now();
        let minted = mint(args.user.as_ref().unwrap(), &args, &auth, now).unwrap();
        let user = Verifier::new(auth.verifier_options()).unwrap().verify_user(&minted.token, now).unwrap();
        assert_eq!((user.user.as_str(), user.name.as_deref()), ("alice", Some("Alice")));
        let ttl = user.expires_at.duration_since(now).unwrap();
        assert!((Duration::from_secs(7_199)..=Duration::from_hours(2)).contains(&ttl), "{ttl:?}");
    }

    #[test]
    fn a_token_needs_a_user_and_a_secret() {
        assert!(parsed("token").is_err());
        assert!(parsed("token --user a.b").is_err());
        assert!(parsed("token --user alice --ttl 5").is_err());
        assert!(parsed("token --service").is_ok());
        let args = parsed("token --user alice").unwrap();
        let user = args.user.clone().unwrap();
        let failure = mint(&user, &args, &AuthConfig::default(), SystemTime::now()).unwrap_err();
        assert!(failure.to_string().contains("auth.secret"), "{failure}");
    }

    #[test]
    fn every_token_has_an_id_of_its_own_to_be_revoked_by() {
        let auth = AuthConfig {
            secret: Some(Secret::new("a secret of more than thirty-two bytes".to_owned())),
            ..AuthConfig::default()
        };
        let args = parsed("token --user alice --json").unwrap();
        let (user, now) = (args.user.clone().unwrap(), SystemTime::now());
        let [first, second] = [(); 2].map(|()| mint(&user, &args, &auth, now).unwrap());
        assert_ne!(first.jti, second.jti);

        let revocations = Revocations::default();
        let verifier = Verifier::new(auth.verifier_options()).unwrap().with_revocations(revocations.clone());
        let token = verifier.verify_user(&first.token, now).unwrap();
        assert_eq!(UnixMillis::from(token.expires_at).0, first.expires_time_ms);
        revocations.replace(HashSet::from([first.jti.into()]));
        assert_eq!(verifier.verify_user(&first.token, now), Err(TokenError::Revoked));
        verifier.verify_user(&second.token, now).unwrap();
    }
}
