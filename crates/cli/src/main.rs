//! The `huddle` program: parses the command line, runs one command, and turns its outcome into an exit code.

mod commands;
mod config;
mod failure;
mod process;
mod stack;
mod terminal;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{config::ConfigArgs, failure::Failure};

/// How long blocking work may hold up the end of the program.
const RUNTIME_STOP_WAIT: Duration = Duration::from_secs(1);

/// Team chat that loses nothing: every member sees each message exactly once, in one order.
#[derive(Debug, Parser)]
#[command(name = "huddle", version, max_term_width = 110, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  huddle up                                    everything on this machine, with a demo team and a page to try
  huddle tail --team demo --token TOKEN        follow a team
  huddle send --team demo --token TOKEN hello  say something

Configuration: defaults, then the file, then HUDDLE_SECTION__KEY variables (two underscores), then --set.
`huddle config default` prints every setting with its meaning.

Exit codes: 0 success, 1 failure, 2 wrong usage or configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(commands::up::Args),
    Gateway(commands::gateway::Args),
    Persistence(commands::persistence::Args),
    History(commands::history::Args),
    Directory(commands::directory::Args),
    Migrate(commands::migrate::Args),
    Export(commands::export::Args),
    Import(commands::import::Args),
    Doctor(commands::doctor::Args),
    Verify(commands::verify::Args),
    Token(commands::token::Args),
    Send(commands::send::Args),
    Tail(commands::tail::Args),
    Config(commands::config::Args),
}

impl Cli {
    async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Up(args) => commands::up::run(args, &self.config).await,
            Command::Gateway(args) => commands::gateway::run(args, &self.config).await,
            Command::Directory(args) => commands::directory::run(args, &self.config).await,
            Command::Persistence(args) => commands::persistence::run(args, &self.config).await,
            Command::History(args) => commands::history::run(args, &self.config).await,
            Command::Migrate(args) => commands::migrate::run(args, &self.config).await,
            Command::Export(args) => Box::pin(commands::export::run(args, &self.config)).await,
            Command::Import(args) => Box::pin(commands::import::run(args, &self.config)).await,
            Command::Doctor(args) => Box::pin(commands::doctor::run(args, &self.config)).await,
            Command::Verify(args) => Box::pin(commands::verify::run(args, &self.config)).await,
            Command::Token(args) => commands::token::run(&args, &self.config),
            Command::Send(args) => commands::send::run(args, &self.config).await,
            Command::Tail(args) => commands::tail::run(args, &self.config).await,
            Command::Config(args) => commands::config::run(&args, &self.config),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(Box::pin(cli.run()));
            runtime.shutdown_timeout(RUNTIME_STOP_WAIT);
            outcome
        }
        Err(error) => Err(Failure::failed(anyhow::Error::new(error).context("cannot start the runtime"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("huddle: {failure}");
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_taken_before_and_after_the_command() {
        for line in ["huddle --set log.replicas=3 config check", "huddle config check --set log.replicas=3"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.config.overrides()[0].key, "log.replicas", "{line}");
        }
        assert!(Cli::try_parse_from(["huddle", "--set", "no-equals-sign", "config", "check"]).is_err());
    }

    #[test]
    fn every_command_has_a_help_text_with_an_example() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("huddle "), "{} has no example", command.get_name());
        }
    }
}
