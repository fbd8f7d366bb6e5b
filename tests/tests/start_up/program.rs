//! Runs of `huddle` that end by themselves.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use huddle_tests::huddle;
use tokio::{process::Command, time::timeout};

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// What it said on standard output and standard error.
    pub(crate) said: String,
    pub(crate) took: Duration,
}

impl Ended {
    /// Asserts that it ended with the exit code `code` and said each of `words`.
    pub(crate) fn assert(&self, what: &str, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{what}: {}", self.said);
        for word in words {
            assert!(self.said.contains(word), "{what}: {word:?} is not in: {}", self.said);
        }
        assert!(!self.said.contains("panicked"), "{what}: {}", self.said);
    }
}

/// Runs `huddle` with the command line `arguments` and the variables `environment`; it must end within `bound`.
pub(crate) async fn run(arguments: &[String], environment: &[(&str, &str)], bound: Duration) -> Result<Ended> {
    let mut command = Command::from(huddle()?);
    command.args(arguments).envs(environment.iter().copied()).current_dir("/");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let begin = Instant::now();
    let output = timeout(bound, command.output()).await;
    let output = output.with_context(|| format!("huddle {arguments:?} has not ended after {bound:?}"))??;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Ended { code: output.status.code(), said, took: begin.elapsed() })
}

/// The arguments of `huddle <role>` with settings on the command line.
pub(crate) fn service(role: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let settings = settings.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
    [role.to_owned()].into_iter().chain(settings).collect()
}
