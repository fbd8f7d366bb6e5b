//! `huddle config`: prints the defaults, checks a configuration.

use clap::Subcommand;

use crate::{
    config::{ConfigArgs, DEFAULT_TOML},
    failure::Failure,
};

/// Print the default configuration, or check the present one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  huddle config default > huddle.toml
  huddle config check --config huddle.toml
  HUDDLE_LOG__REPLICAS=3 huddle config check")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every setting with its meaning, limits and default.
    Default,
    /// Read the file, the environment, the flags and the files that they name as a service would; say OK, or where the
    /// mistake is.
    Check,
}

pub(crate) fn run(args: &Args, config: &ConfigArgs) -> Result<(), Failure> {
    match args.command {
        Command::Default => print!("{DEFAULT_TOML}"),
        Command::Check => {
            config.check_files(&config.load_for_service()?)?;
            match config.file() {
                Some(file) => println!("OK: {}", file.display()),
                None => println!("OK: defaults and environment, no file"),
            }
        }
    }
    Ok(())
}
