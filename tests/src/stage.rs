//! Owns how a test uses `huddle up` as a person at a terminal does: starts it, pastes what it prints, runs commands.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::Process;
use serde_json::Value;

use crate::huddle;

/// How long a command that ends by itself may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A data directory, and where everything that runs over it writes.
#[derive(Debug)]
pub struct Stage {
    /// For `--data-dir`; not made yet.
    pub data: PathBuf,
    /// The outputs, a file for each process.
    pub logs: PathBuf,
}

impl Stage {
    /// A stage below `files`. The path of its data needs quotes in a shell.
    pub fn below(files: &Path) -> Self {
        Self { data: files.join("it's my data"), logs: files.join("logs") }
    }

    /// Where the process `name` writes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }

    /// Starts `line` in a shell.
    pub fn shell(&self, name: &str, line: &str) -> Result<Process> {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir("/").env_remove("HUDDLE_TOKEN").env_remove("HUDDLE_URL");
        Process::spawn(name, command, &self.log(name))
    }

    /// Runs `line` in a shell; returns what it says.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run_shell(&self, name: &str, line: &str) -> Result<String> {
        let process = self.shell(name, line)?;
        succeeded(process, line).await
    }

    /// Runs a command as `user` of the stack that told `told`; returns what it says.
    ///
    /// # Errors
    /// When it fails.
    pub async fn huddle(&self, name: &str, told: &Value, user: &str, arguments: &[&str]) -> Result<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("incomplete: {told}"));
        let mut command = huddle()?;
        command.args(&arguments[..1]).arg("--url").arg(text(&told["url"])?).args(["--team", "demo", "--token"]);
        command.arg(text(&told["tokens"][user])?).args(&arguments[1..]).current_dir("/");
        let process = Process::spawn(name, command, &self.log(name))?;
        succeeded(process, &format!("{arguments:?}")).await
    }

    /// Asserts that the team's log, from its beginning, holds `count` messages "hello, bob", each at a position of its
    /// own, in order.
    ///
    /// # Panics
    /// When it does not.
    pub async fn assert_messages(&self, name: &str, told: &Value, count: usize) -> Result<()> {
        // One more than there may be, which stands for the end.
        self.huddle(&format!("{name}-end"), told, "alice", &["send", "the end"]).await?;
        let lines = (count + 1).to_string();
        let output = self.huddle(name, told, "bob", &["tail", "--after", "0", "--json", "--count", &lines]).await?;
        let events = output.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str);
        let events: Vec<Value> = events.collect::<Result<_, _>>()?;
        let bodies: Vec<_> = events.iter().map(|event| event["posted"]["body"].as_str().unwrap_or_default()).collect();
        let mut expected = vec!["hello, bob"; count];
        expected.push("the end");
        assert_eq!(bodies, expected);
        let seqs = events.iter().map(|event| event["seq"].as_str().unwrap_or_default().parse::<u64>());
        let seqs: Vec<u64> = seqs.collect::<Result<_, _>>()?;
        assert!(seqs.is_sorted_by(|one, next| one < next), "{seqs:?}");
        Ok(())
    }
}

/// Waits until `up` says as JSON that it is ready; returns what it says.
pub async fn told(up: &mut Process, bound: Duration) -> Result<Value> {
    up.wait_for_output("\"tokens\":", bound).await?;
    let output = up.output()?;
    let line = output.lines().find(|line| line.starts_with('{')).context("no JSON")?;
    Ok(serde_json::from_str(line)?)
}

/// The line in `text` that is a command to paste.
pub fn command_in(text: &str, part: &str) -> Result<String> {
    let line = text.lines().find(|line| line.contains(part) && line.contains(" --token "));
    Ok(line.with_context(|| format!("no{part}command in: {text}"))?.to_owned())
}

async fn succeeded(mut process: Process, what: &str) -> Result<String> {
    let status = process.wait(COMMAND_TIMEOUT).await?;
    let output = process.output()?;
    ensure!(status.success(), "{what}: {status}: {output}");
    Ok(output)
}
